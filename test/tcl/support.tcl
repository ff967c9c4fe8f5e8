# What every file of this suite begins with: tcltest, and the package on a database of its own.
# test/process/tcl.test.ts runs the files and says where the database is.

package require tcltest 2
namespace import ::tcltest::test ::tcltest::makeFile

set root [file dirname [file dirname [file dirname [file normalize [info script]]]]]
lappend auto_path [file join $root src tcl]
package require aerostore

if {![info exists ::env(AEROSTORE_TCL_DIR)]} {
    error "run this suite with: bun test test/process/tcl.test.ts"
}
set ready [aerostore::init $env(AEROSTORE_TCL_DIR)]

# Runs the command line on the suite's database.
proc cli {args} {
    global env root
    return [exec $env(AEROSTORE_BUN) [file join $root src cli main.ts] {*}$args \
        --dir $env(AEROSTORE_TCL_DIR) 2>@stderr]
}

# Pid of this interpreter's bridge.
proc bridgePid {} { return [lindex [pid $::aerostore::bridge::channel] 0] }

# Message and error code of a script that must fail.
proc failure {script} {
    if {![catch { uplevel 1 $script } message]} { return "no error: $message" }
    return [list $message $::errorCode]
}

# Lines of the feed: UAL0, UAL1, ... with the number as their altitude.
proc feed {count {stamp 1}} {
    for {set n 0} {$n < $count} {incr n} {
        append lines "UAL$n\t46.5\t10.25\t$n\t[expr {$n % 600}]\t$stamp\n"
    }
    return $lines
}

proc empty {table} { $table search -delete 1 }
