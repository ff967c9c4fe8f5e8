# The Tcl face of Aerostore: commands of the package, settings, transactions, and what makes a
# command of a table. A bridge process does the work (bridge.tcl); docs/tcl.md is the manual.
#
# Errors are Tcl errors whose message begins with "TCL_ERROR: ", with errorCode
# {AEROSTORE CODE ?name value ...?}. Errors of a caller's own scripts pass through as they are.

package require Tcl 8.6-

namespace eval ::aerostore {
    namespace export init set_config get_config checkpoint_now table transaction savepoint

    variable directoryDefault ./aerostore_tcl_data
    # Attempts of a transaction after the first.
    variable retriesDefault 100
    # How deep transactions are nested, 0 outside of one.
    variable depth 0
    # Table commands that this package made: command, table.
    variable commands [dict create]
    # Methods of tables: each is a procedure method.NAME of the table and the arguments.
    variable methods {}
}

apply {{directory} {
    foreach part {bridge table search} { source -encoding utf-8 [file join $directory $part.tcl] }
}} [file dirname [file normalize [info script]]]

# Fails with a message of the package: `fail CODE message`.
proc ::aerostore::fail {code message args} {
    return -level 2 -code error -errorcode [list AEROSTORE $code {*}$args] "TCL_ERROR: $message"
}

# Opens the database of a directory, which is created if there is none; the first call decides.
proc ::aerostore::init {args} {
    variable directoryDefault
    if {[llength $args] > 1} { fail USAGE "usage: aerostore::init ?data_dir?" }
    bridge::choose [expr {[llength $args] ? [lindex $args 0] : $directoryDefault}]
    set state [bridge::open]
    return "aerostore ready (dir=[bridge::shown], $state)"
}

proc ::aerostore::set_config {args} {
    if {[llength $args] != 2} { fail USAGE "usage: aerostore::set_config key value" }
    return [lindex [bridge::call config_set {*}$args] 0]
}

proc ::aerostore::get_config {args} {
    if {[llength $args] != 1} { fail USAGE "usage: aerostore::get_config key" }
    return [lindex [bridge::call config_get {*}$args] 0]
}

# Writes a checkpoint; with -command in the background.
proc ::aerostore::checkpoint_now {args} {
    lassign [takeCallback $args] args callback
    if {[llength $args] != 0} {
        fail USAGE "usage: aerostore::checkpoint_now ?-command callback?"
    }
    return [request $callback checkpoint]
}

# Makes a command for a table, by default of its name in the global namespace; the command.
proc ::aerostore::table {args} {
    variable commands
    if {[llength $args] ni {1 2}} { fail USAGE "usage: aerostore::table name ?command?" }
    lassign $args table command
    if {$command eq ""} { set command $table }
    if {![string match ::* $command]} { set command ::$command }
    set isOurs [expr {[dict exists $commands $command] && [namespace which $command] ne ""}]
    if {!$isOurs && [namespace which $command] ne ""} {
        fail INVALID_VALUE "there is a command $command already: name another one\
            (aerostore::table $table ?command?)"
    }
    bridge::call fields $table
    MakeCommand $table $command
    return $command
}

proc ::aerostore::MakeCommand {table command} {
    variable commands
    interp alias {} $command {} ::aerostore::Dispatch $table
    dict set commands $command $table
}

proc ::aerostore::Dispatch {table args} {
    variable methods
    if {[llength $args] == 0} {
        fail USAGE "usage: $table method ?argument ...?; methods are [join $methods {, }]"
    }
    set args [lassign $args method]
    if {$method ni $methods} {
        fail USAGE "unknown subcommand \"$method\" of $table: must be one of [join $methods {, }]"
    }
    tailcall ::aerostore::method.$method $table {*}$args
}

# Arguments without `-command callback` at their end, and the callback.
proc ::aerostore::takeCallback {arguments} {
    if {[llength $arguments] < 2 || [lindex $arguments end-1] ne "-command"} {
        return [list $arguments ""]
    }
    return [list [lrange $arguments 0 end-2] [lindex $arguments end]]
}

# Asks the bridge for a result of one word. With a callback it returns at once, with nothing.
proc ::aerostore::request {callback args} {
    if {$callback eq ""} { return [lindex [bridge::call {*}$args] 0] }
    bridge::callLater $callback {*}$args
    return
}

# Runs a script in a transaction and commits it; runs it again when another one was in the way. An
# error undoes everything; return, break and continue commit and go on. Within a transaction it is
# a savepoint.
proc ::aerostore::transaction {args} {
    variable depth
    variable retriesDefault
    set retries $retriesDefault
    if {[llength $args] == 3 && [lindex $args 0] eq "-retries"} {
        set retries [lindex $args 1]
        set args [lrange $args 2 end]
    }
    if {[llength $args] != 1 || ![string is integer -strict $retries] || $retries < 0} {
        fail USAGE "usage: aerostore::transaction ?-retries count? script"
    }
    set script [lindex $args 0]
    if {$depth > 0} { tailcall ::aerostore::savepoint $script }
    for {set attempt 0} {1} {incr attempt} {
        set token [bridge::begin $attempt]
        incr depth
        set code [catch { uplevel 1 $script } result options]
        incr depth -1
        set isUndone [IsError $code $options]
        if {[catch { bridge::finish $token [expr {!$isUndone}] } problem details]} {
            # After an error of the script its own error is what matters.
            if {!$isUndone} { lassign [list 1 $problem $details] code result options }
        }
        if {$code != 1 || $attempt >= $retries || ![IsLost $options]} break
    }
    dict incr options -level
    return -options $options $result
}

# Runs a script within a transaction; an error undoes what it has done, and passes on.
proc ::aerostore::savepoint {args} {
    variable depth
    if {[llength $args] != 1} { fail USAGE "usage: aerostore::savepoint script" }
    if {$depth == 0} { tailcall ::aerostore::transaction [lindex $args 0] }
    bridge::call savepoint
    incr depth
    set code [catch { uplevel 1 [lindex $args 0] } result options]
    incr depth -1
    set isUndone [IsError $code $options]
    if {[catch { bridge::call [expr {$isUndone ? "rollback" : "release"}] } problem details]} {
        if {!$isUndone} { lassign [list 1 $problem $details] code result options }
    }
    dict incr options -level
    return -options $options $result
}

# Whether what `catch` gave is an error, or a return from the caller with one.
proc ::aerostore::IsError {code options} {
    return [expr {$code == 1 || ($code == 2 && [dict get $options -code] == 1)}]
}

# Whether an error says that running the same transaction again may succeed.
proc ::aerostore::IsLost {options} {
    if {[catch { lassign [dict get $options -errorcode] package code }]} { return 0 }
    return [expr {$package eq "AEROSTORE" && $code in {SERIALIZATION_FAILURE SNAPSHOT_TOO_OLD}}]
}

set ::aerostore::methods [lsort [lmap each [info commands ::aerostore::method.*] {
    string range [namespace tail $each] 7 end
}]]
::aerostore::MakeCommand FlightState ::FlightState

package provide aerostore 0.2.0
