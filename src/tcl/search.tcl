# The search method of tables. What a search finds is decided by the bridge; here its rows meet the
# caller's variables, script and channel.

namespace eval ::aerostore {
    # Options that are part of the query: 1 with an argument.
    variable queryOptions {
        -compare 1 -or 1 -sort 1 -limit 1 -offset 1 -fields 1 -asc 0 -desc 0
    }
    # Options on what becomes of the rows. Those of `rowModes` exclude each other.
    variable rowModes {
        -get -array_get -array_get_with_nulls -array -array_with_nulls -write_tabsep
    }
    variable rowOptions [concat $rowModes {
        -key -code -update -delete -countOnly -with_field_names -nokeys -tab -null -quote -command
    }]
    # No query has a larger limit or offset.
    variable limitMax 9007199254740991
    # Keys that searches have been through, by number of the search: for -update and -delete.
    variable visited
    variable visitedLast 0
    array set visited {}
}

# Searches the table; how many rows it found, after offset and limit, or went through before break.
proc ::aerostore::method.search {table args} {
    lassign [TakeSearch $args] words fields settings
    set isRead 0
    foreach option [list {*}$::aerostore::rowModes -key -code] {
        if {[dict exists $settings $option]} { set isRead 1 }
    }
    set callback [expr {[dict exists $settings -command] ? [dict get $settings -command] : ""}]
    if {$isRead} {
        if {$callback ne ""} { fail USAGE "-command is for searches that only count rows" }
        if {[dict exists $settings -update] || [dict exists $settings -delete]} {
            tailcall ::aerostore::ChangeRows $table $words $fields $settings
        }
        tailcall ::aerostore::ReadRows $table $words $fields $settings ""
    }
    if {[llength $fields]} { lappend words -fields $fields }
    set operation count
    foreach option {-update -delete} {
        if {![dict exists $settings $option]} continue
        set operation change
        lappend words $option [dict get $settings $option]
    }
    return [request $callback $operation $table {*}$words]
}

# Words of the query, fields, and a dictionary of the other options. Fails for the caller.
proc ::aerostore::TakeSearch {arguments} {
    variable queryOptions
    variable rowOptions
    variable rowModes
    variable limitMax
    set words {}
    set fields {}
    set settings [dict create]
    set rest $arguments
    while {[llength $rest]} {
        set rest [lassign $rest option]
        if {[dict exists $queryOptions $option] && ![dict get $queryOptions $option]} {
            lappend words $option
            continue
        }
        if {![dict exists $queryOptions $option] && $option ni $rowOptions} {
            Refuse "unknown search option: $option; expected one of\
                [join [lsort [concat [dict keys $queryOptions] $rowOptions]] {, }]"
        }
        if {[llength $rest] == 0} { Refuse "missing value for $option" }
        set rest [lassign $rest value]
        switch -- $option {
            -limit - -offset {
                if {![string is wideinteger -strict $value]} {
                    Refuse "expected integer Tcl_Obj for $option, not \"$value\""
                }
                if {$value < 0} { Refuse "expected non-negative integer for $option, not $value" }
                lappend words $option [expr {min($value, $limitMax)}]
            }
            -fields {
                if {[catch { lrange $value 0 end } fields]} { Refuse "-fields: $fields" }
            }
            -countOnly - -delete - -with_field_names - -nokeys {
                if {![string is boolean -strict $value]} {
                    Refuse "expected boolean for $option, not \"$value\""
                }
                if {$value} { dict set settings $option 1 } else { dict unset settings $option }
            }
            -quote {
                if {$value ni {escape none}} {
                    Refuse "expected escape or none for -quote, not \"$value\""
                }
                dict set settings $option $value
            }
            default {
                if {[dict exists $queryOptions $option]} {
                    lappend words $option $value
                } else {
                    dict set settings $option $value
                }
            }
        }
    }
    set modes [lmap mode $rowModes { expr {[dict exists $settings $mode] ? $mode : [continue]} }]
    if {[llength $modes] > 1} { Refuse "[join $modes { and }] exclude each other" }
    if {[dict exists $settings -code] && $modes eq {} && ![dict exists $settings -key]} {
        Refuse "-code needs -key or one of [join $rowModes {, }]"
    }
    if {[dict exists $settings -update] && [dict exists $settings -delete]} {
        Refuse "-update and -delete exclude each other"
    }
    return [list $words $fields $settings]
}

# Fails for the caller of the method: two procedures up.
proc ::aerostore::Refuse {message} {
    return -level 3 -code error -errorcode {AEROSTORE PARSE_ERROR} "TCL_ERROR: $message"
}

# Reads rows, then updates or deletes those that were gone through, all in one transaction, or in a
# savepoint of the one that there is. It is not retried, for its script may have done other
# things by then.
proc ::aerostore::ChangeRows {table words fields settings} {
    variable depth
    variable visited
    variable visitedLast
    set id [incr visitedLast]
    set visited($id) {}
    set isOuter [expr {$depth == 0}]
    if {$isOuter} { set token [bridge::begin 0] } else { bridge::call savepoint }
    incr depth
    set code [catch {
        uplevel 1 [list ::aerostore::ReadRows $table $words $fields $settings $id]
    } result options]
    incr depth -1
    if {![IsError $code $options]} {
        if {[catch { ChangeKeys $table $settings $visited($id) } problem details]} {
            lassign [list 1 $problem $details] code result options
        }
    }
    unset visited($id)
    set isUndone [IsError $code $options]
    if {[catch {
        if {$isOuter} {
            bridge::finish $token [expr {!$isUndone}]
        } else {
            bridge::call [expr {$isUndone ? "rollback" : "release"}]
        }
    } problem details]} {
        if {!$isUndone} { lassign [list 1 $problem $details] code result options }
    }
    dict incr options -level
    return -options $options $result
}

proc ::aerostore::ChangeKeys {table settings keys} {
    if {[dict exists $settings -delete]} {
        bridge::call delete $table {*}$keys
    } else {
        set usage "-update {field value ?field value ...?}"
        set pairs [TakePairs [list [dict get $settings -update]] $usage]
        bridge::call update_keys $table [expr {[llength $pairs] / 2}] {*}$pairs {*}$keys
    }
}

# Takes the rows of a search into the caller's variables, script or channel. With an `id` it notes
# the keys of the rows.
proc ::aerostore::ReadRows {table words fields settings id} {
    variable visited
    variable rowModes
    variable bridge::tags
    set mode ""
    foreach option $rowModes {
        if {[dict exists $settings $option]} { set mode $option }
    }
    set hasCode [dict exists $settings -code]
    set code [expr {$hasCode ? [dict get $settings -code] : ""}]
    if {$mode eq "-write_tabsep"} {
        set channel [dict get $settings $mode]
        if {![isOpenFor output $channel]} {
            fail INVALID_VALUE "\"$channel\" is no channel that is open for writing"
        }
    } elseif {$mode ne ""} {
        CheckVariable $mode [dict get $settings $mode] [expr {$mode in {-array -array_with_nulls}}]
        upvar 1 [dict get $settings $mode] row
    }
    if {[dict exists $settings -key]} {
        CheckVariable -key [dict get $settings -key] 0
        upvar 1 [dict get $settings -key] key
    }

    # The written key stands in front, unless it is one of the fields anyway.
    set writesKey [expr {
        $mode eq "-write_tabsep" && [llength $fields] && ![dict exists $settings -nokeys]
    }]
    set withKey [expr {[dict exists $settings -key] || $id ne "" || $writesKey}]
    set found [bridge::call search $table $withKey [llength $fields] {*}$fields {*}$words]
    set process $bridge::generation
    set width [lindex $found 0]
    set names [lrange $found 1 $width]
    lassign [lrange $found $width+1 $width+2] total number
    set stride [expr {$width + $withKey}]
    set values [lrange $found $width+3 end]
    set rowTags [lrange $tags $width+3 end]
    if {$mode eq "-write_tabsep"} {
        set keyName [method.key $table]
        if {$keyName in $names} { set writesKey 0 }
        set first [expr {$writesKey ? 0 : $withKey}]
        set writer [LineWriter $settings]
        if {[dict exists $settings -with_field_names]} {
            puts $channel [join [concat [expr {$writesKey ? $keyName : {}}] $names] \
                [dict get $writer tab]]
        }
    }

    for {set count 0} {$count < $total} {} {
        if {[llength $values] == 0} {
            set values [bridge::callSame $process next $number]
            set rowTags $tags
        }
        set hasNulls [expr {0 in $rowTags}]
        set end [llength $values]
        for {set at 0} {$at < $end} {incr at $stride} {
            set last [expr {$at + $stride - 1}]
            set cells [lrange $values $at+$withKey $last]
            incr count
            set status 0
            if {$withKey} {
                set key [lindex $values $at]
                if {$id ne ""} { lappend visited($id) $key }
            }
            switch -- $mode {
                -get { set row $cells }
                -array_get - -array_get_with_nulls - -array - -array_with_nulls {
                    set pairs {}
                    set nulls {}
                    if {$hasNulls && $mode in {-array_get -array}} {
                        foreach name $names cell $cells tag [lrange $rowTags $at+$withKey $last] {
                            if {$tag} { lappend pairs $name $cell } else { lappend nulls $name }
                        }
                    } else {
                        foreach name $names cell $cells { lappend pairs $name $cell }
                    }
                    if {$mode in {-array -array_with_nulls}} {
                        array set row $pairs
                        foreach name $nulls { unset -nocomplain row($name) }
                    } else {
                        set row $pairs
                    }
                }
                -write_tabsep {
                    set line [WriteLine $writer [lrange $values $at+$first $last] \
                        [lrange $rowTags $at+$first $last]]
                    set status [catch { puts $channel $line } result options]
                }
            }
            if {$hasCode && $status == 0} {
                set status [catch { uplevel 1 $code } result options]
            }
            if {$status in {0 4}} continue
            if {$number && $process == $bridge::generation} {
                catch { bridge::callSame $process close $number }
            }
            if {$status == 3} { return $count }
            dict incr options -level
            return -options $options $result
        }
        set values {}
    }
    return $count
}

# Fails for the caller when its own caller has no such variable, an array or not, to put rows into.
proc ::aerostore::CheckVariable {option name isArray} {
    set problem ""
    if {[catch { upvar 2 $name target } result]} {
        set problem $result
    } elseif {!$isArray && [array exists target]} {
        set problem "\"$name\" is an array"
    } elseif {$isArray && ![array exists target]} {
        if {[info exists target] || [string match {*(*)} $name]} {
            set problem "\"$name\" is no array"
        }
    }
    if {$problem eq ""} return
    return -level 2 -code error -errorcode {AEROSTORE INVALID_VALUE} "TCL_ERROR: $option: $problem"
}

# How lines are written: a dictionary of tab, null and map.
proc ::aerostore::LineWriter {settings} {
    set isEscaped [expr {![dict exists $settings -quote] || [dict get $settings -quote] ne "none"}]
    return [dict create \
        tab [expr {[dict exists $settings -tab] ? [dict get $settings -tab] : "\t"}] \
        null [expr {[dict exists $settings -null] ? [dict get $settings -null] : "\\N"}] \
        map [expr {$isEscaped ? {\\ \\\\ \t \\t \n \\n \r \\r} : {}}]]
}

proc ::aerostore::WriteLine {writer cells tags} {
    set map [dict get $writer map]
    set line {}
    foreach cell $cells tag $tags {
        switch -- $tag {
            0 { lappend line [dict get $writer null] }
            3 { lappend line [binary encode hex $cell] }
            default { lappend line [string map $map $cell] }
        }
    }
    set text [join $line [dict get $writer tab]]
    # A reader passes over one byte order mark where a line begins.
    if {[string index $text 0] eq "\ufeff"} { return "\ufeff$text" }
    return $text
}
