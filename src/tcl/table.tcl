# Methods of a table but search: rows by key, whole files. Each gets the table's name first.

namespace eval ::aerostore {
    # Rows of one transaction of ingest_tsv, and of read_tabsep.
    variable batchDefault 1024
    variable batchWhole 1000000
}

# Name and value pairs of a row as a list; with `nulls` also those that are null, as empty text.
proc ::aerostore::Pairs {values nulls} {
    variable bridge::tags
    if {$nulls || 0 ni $bridge::tags} { return $values }
    set pairs {}
    foreach {name value} $values {_ tag} $bridge::tags {
        if {$tag != 0} { lappend pairs $name $value }
    }
    return $pairs
}

# Column and value words from arguments, which may also be one list.
proc ::aerostore::TakePairs {arguments usage} {
    if {[llength $arguments] == 1 && [catch { lrange [lindex $arguments 0] 0 end } arguments]} {
        return -level 2 -code error -errorcode {AEROSTORE USAGE} "TCL_ERROR: $arguments"
    }
    if {[llength $arguments] % 2} {
        return -level 2 -code error -errorcode {AEROSTORE USAGE} "TCL_ERROR: usage: $usage"
    }
    return $arguments
}

# Loads tab-separated lines; counts and time in one line of name=value words.
proc ::aerostore::method.ingest_tsv {table args} {
    variable batchDefault
    lassign [takeCallback $args] args callback
    if {[llength $args] ni {1 2}} {
        fail USAGE "usage: $table ingest_tsv tsv_data ?batch_size? ?-command callback?"
    }
    set batch [expr {[llength $args] == 2 ? [lindex $args 1] : $batchDefault}]
    if {![string is wideinteger -strict $batch] || $batch < 1} {
        fail INVALID_VALUE "batch_size is a whole number from 1, not \"$batch\""
    }
    return [request $callback ingest_tsv $table [expr {wide($batch)}] [lindex $args 0]]
}

# Values of a row, of all columns or those named; nothing when there is no such row.
proc ::aerostore::method.get {table args} {
    if {[llength $args] < 1} { fail USAGE "usage: $table get key ?field ...?" }
    return [lmap {name value} [bridge::call get $table {*}$args] { set value }]
}

proc ::aerostore::method.array_get {table args} {
    if {[llength $args] < 1} { fail USAGE "usage: $table array_get key ?field ...?" }
    return [Pairs [bridge::call get $table {*}$args] 0]
}

proc ::aerostore::method.array_get_with_nulls {table args} {
    if {[llength $args] < 1} { fail USAGE "usage: $table array_get_with_nulls key ?field ...?" }
    return [Pairs [bridge::call get $table {*}$args] 1]
}

# Changes the named fields of a row, which is made if it is not there.
proc ::aerostore::method.set {table args} {
    set usage "$table set key ?-nocomplain? field value ?field value ...?"
    if {[llength $args] < 1} { fail USAGE "usage: $usage" }
    set args [lassign $args key]
    set ignore [expr {[lindex $args 0] eq "-nocomplain"}]
    set pairs [TakePairs [lrange $args $ignore end] $usage]
    bridge::call set $table $ignore $key {*}$pairs
    return
}

# Likewise, the key being among the fields; the key.
proc ::aerostore::method.store {table args} {
    set usage "$table store ?-nocomplain? field value ?field value ...?"
    set ignore [expr {[lindex $args 0] eq "-nocomplain"}]
    set pairs [TakePairs [lrange $args $ignore end] $usage]
    return [lindex [bridge::call store $table $ignore {*}$pairs] 0]
}

# Adds to fields of a row; their new values.
proc ::aerostore::method.incr {table args} {
    set usage "$table incr key field amount ?field amount ...?"
    if {[llength $args] < 2} { fail USAGE "usage: $usage" }
    set args [lassign $args key]
    return [bridge::call incr $table $key {*}[TakePairs $args $usage]]
}

proc ::aerostore::method.exists {table args} {
    if {[llength $args] != 1} { fail USAGE "usage: $table exists key" }
    return [lindex [bridge::call exists $table {*}$args] 0]
}

# Deletes rows; how many of them were there.
proc ::aerostore::method.delete {table args} {
    if {[llength $args] < 1} { fail USAGE "usage: $table delete key ?key ...?" }
    return [lindex [bridge::call delete $table {*}$args] 0]
}

# Sets fields of a row to null.
proc ::aerostore::method.null {table args} {
    if {[llength $args] < 2} { fail USAGE "usage: $table null key field ?field ...?" }
    bridge::call null $table {*}$args
    return
}

# For each field, whether it is null; nothing when there is no such row.
proc ::aerostore::method.isnull {table args} {
    variable bridge::tags
    if {[llength $args] < 2} { fail USAGE "usage: $table isnull key field ?field ...?" }
    bridge::call get $table {*}$args
    return [lmap {_ tag} $bridge::tags { expr {$tag == 0} }]
}

proc ::aerostore::method.count {table args} {
    if {[llength $args] != 0} { fail USAGE "usage: $table count" }
    return [lindex [bridge::call count $table] 0]
}

proc ::aerostore::method.fields {table args} {
    if {[llength $args] != 0} { fail USAGE "usage: $table fields" }
    return [bridge::call fields $table]
}

# The name of the field that is the key.
proc ::aerostore::method.key {table args} {
    if {[llength $args] != 0} { fail USAGE "usage: $table key" }
    return [lindex [bridge::call fields $table] 0]
}

proc ::aerostore::method.methods {table args} {
    variable methods
    return $methods
}

# Keys of all rows, or of those that match a pattern of [string match].
proc ::aerostore::method.names {table args} {
    if {[llength $args] > 1} { fail USAGE "usage: $table names ?pattern?" }
    set found [bridge::call search $table 0 1 [method.key $table]]
    lassign $found _ _ total number
    set names [lrange $found 4 end]
    while {[llength $names] < $total} { lappend names {*}[bridge::call next $number] }
    if {[llength $args] == 0} { return $names }
    return [lsearch -all -inline -glob $names [lindex $args 0]]
}

# Reads lines of a channel up to its end or an empty line; the number of rows. One transaction.
proc ::aerostore::method.read_tabsep {table args} {
    variable batchWhole
    set usage "$table read_tabsep channel ?-with_field_names? ?-tab text? ?-null text?\
        ?-quote escape|none? ?-skip pattern? ?-term pattern? ?field ...?"
    if {[llength $args] < 1} { fail USAGE "usage: $usage" }
    set args [lassign $args channel]
    set settings [dict create]
    while {[string match -* [lindex $args 0]]} {
        set args [lassign $args option]
        if {$option eq "-with_field_names"} {
            dict set settings $option 1
        } elseif {$option ni {-tab -null -quote -skip -term}} {
            fail USAGE "unknown option: $option; usage: $usage"
        } elseif {[llength $args] == 0} {
            fail USAGE "missing value for $option"
        } else {
            set args [lassign $args value]
            dict set settings $option $value
        }
    }
    set quote [expr {[dict exists $settings -quote] ? [dict get $settings -quote] : "escape"}]
    if {$quote ni {escape none}} {
        fail INVALID_VALUE "expected escape or none for -quote, not \"$quote\""
    }
    if {![isOpenFor input $channel]} {
        fail INVALID_VALUE "\"$channel\" is no channel that is open for reading"
    }
    set lines [ReadLines $channel $settings]
    set isAdded [expr {![dict exists $settings -with_field_names]}]
    if {$isAdded} {
        set key [method.key $table]
        if {[llength $args] == 0} {
            set args [method.fields $table]
        } elseif {$key ni $args} {
            set args [linsert $args 0 $key]
        }
        set lines [linsert $lines 0 [join $args \t]]
    }
    set text [join $lines \n]
    return [lindex [bridge::call read_tabsep $table $batchWhole $isAdded $text $quote] 0]
}

# Whether a channel of that name is open for `input` or `output`.
proc ::aerostore::isOpenFor {mode channel} {
    return [expr {![catch { chan pending $mode $channel } pending] && $pending >= 0}]
}

# Lines of a channel in the form that the bridge takes: tabs between cells, \N for null.
proc ::aerostore::ReadLines {channel settings} {
    set tab [expr {[dict exists $settings -tab] ? [dict get $settings -tab] : "\t"}]
    set lines {}
    while {[gets $channel line] >= 0 && $line ne ""} {
        if {[dict exists $settings -term] && [string match [dict get $settings -term] $line]} break
        if {[dict exists $settings -skip] && [string match [dict get $settings -skip] $line]} {
            continue
        }
        if {$tab ne "\t"} { set line [string map [list $tab \t] $line] }
        if {[dict exists $settings -null]} {
            set null [dict get $settings -null]
            set line [join [lmap cell [split $line \t] {
                expr {$cell eq $null ? "\\N" : $cell}
            }] \t]
        }
        lappend lines $line
    }
    return $lines
}
