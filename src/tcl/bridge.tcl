# The bridge process of this interpreter: started when first needed, asked through frames
# (frames.ts), ended with the interpreter. A call that finds it gone is an error; the next one
# starts another, which attaches to the same database.

namespace eval ::aerostore::bridge {
    # Channel to the process; empty when there is none.
    variable channel ""
    # Counts processes, so that a transaction knows its own.
    variable generation 0
    # Process that the open transaction lives in; 0 outside of one.
    variable generationBegun 0
    # Data directory, absolute, and as it was given.
    variable directory ""
    variable directoryShown ""
    # Whether a call has been answered well, so that the directory is settled.
    variable isOpened 0
    variable lastId 0
    # Callbacks of calls in the background by id, in the order of the calls.
    variable waiting [dict create]
    # Bytes that have come in and are not a whole frame yet.
    variable input ""
    # Tags of the last reply's fields: 0 null, 1 ASCII, 2 text, 3 bytes.
    variable tags {}
    # The command line: beside this folder in the package, and in a checkout.
    variable program [file join [file dirname [file dirname \
        [file normalize [info script]]]] dist cli.cjs]
    if {![file exists $program]} {
        set program [file join [file dirname [file dirname $program]] cli main.ts]
    }
}

# Decides the directory, unless a database has been opened.
proc ::aerostore::bridge::choose {path} {
    variable directory
    variable directoryShown
    variable isOpened
    variable channel
    if {$isOpened} return
    # A process that could not open another directory is of no use.
    if {$channel ne ""} { catch { Lost "another directory was chosen" } }
    # A path ends at its first NUL for the system.
    if {$path eq "" || [string first \0 $path] >= 0} {
        ::aerostore::fail INVALID_VALUE "\"$path\" is no path of a directory"
    }
    if {[catch { file normalize $path } normal]} {
        ::aerostore::fail INVALID_VALUE "\"$path\": $normal"
    }
    set directory $normal
    set directoryShown $path
}

proc ::aerostore::bridge::shown {} {
    variable directoryShown
    return $directoryShown
}

# Opens the database; what the bridge says about it.
proc ::aerostore::bridge::open {} {
    return [lindex [call open] 0]
}

proc ::aerostore::bridge::Start {} {
    variable channel
    variable generation
    variable directory
    variable input
    variable program
    if {$directory eq ""} { choose $::aerostore::directoryDefault }
    set bun bun
    if {[info exists ::env(AEROSTORE_BUN)] && $::env(AEROSTORE_BUN) ne ""} {
        set bun $::env(AEROSTORE_BUN)
    }
    # A word of a pipeline may not look like a redirection; these are paths.
    set command [list $bun $program tcl-bridge --dir=$directory 2>@stderr]
    if {[catch { ::open |$command r+ } result]} {
        ::aerostore::fail BRIDGE_LOST "starting the bridge: $result;\
            install Bun, or name it in the environment variable AEROSTORE_BUN"
    }
    set channel $result
    chan configure $channel -translation binary -buffering full -buffersize 65536 -blocking 1
    set input ""
    incr generation
}

# Asks and waits; the values of the reply, whose tags are in the variable `tags`.
proc ::aerostore::bridge::call {args} {
    variable isOpened
    Ready
    Drain
    set id [Send $args]
    lassign [Take] replyId status values
    if {$replyId != $id} { Lost "a reply to another question came" }
    if {$status} { Raise $values }
    set isOpened 1
    return $values
}

# Asks the process that an earlier call was answered by.
proc ::aerostore::bridge::callSame {process args} {
    variable channel
    variable generation
    if {$channel eq "" || $generation != $process} {
        ::aerostore::fail BRIDGE_LOST "the search was lost with its bridge"
    }
    tailcall ::aerostore::bridge::call {*}$args
}

# Asks and returns; the callback is called with `ok result {}` or `error message errorCode`.
proc ::aerostore::bridge::callLater {callback args} {
    variable channel
    variable waiting
    variable generationBegun
    if {$generationBegun != 0} {
        ::aerostore::fail USAGE "-command within a transaction: its calls must come in order"
    }
    Ready
    chan configure $channel -blocking 0
    set id [Send $args]
    dict set waiting $id $callback
    chan event $channel readable ::aerostore::bridge::Readable
    return
}

# Begins the attempt of a transaction; what finish wants.
proc ::aerostore::bridge::begin {attempt} {
    variable generation
    variable generationBegun
    set token [lindex [call begin $attempt] 0]
    set generationBegun $generation
    return $token
}

# Ends the transaction. When the reply to a commit is lost, the database knows what became of it.
proc ::aerostore::bridge::finish {token isCommit} {
    variable generationBegun
    variable generation
    variable channel
    try {
        if {$isCommit} {
            call commit
        } elseif {$channel ne "" && $generation == $generationBegun} {
            call abort
        }
    } trap {AEROSTORE BRIDGE_LOST} {message options} {
        set generationBegun 0
        if {!$isCommit} { return -options $options $message }
        switch -- [lindex [call outcome $token] 0] {
            committed { return }
            aborted {
                ::aerostore::fail SERIALIZATION_FAILURE "the bridge ended before the commit"
            }
        }
        return -options $options $message
    } finally {
        set generationBegun 0
    }
    return
}

# A process to talk to, the one that the open transaction is in.
proc ::aerostore::bridge::Ready {} {
    variable channel
    variable generation
    variable generationBegun
    if {$generationBegun != 0 && ($channel eq "" || $generation != $generationBegun)} {
        ::aerostore::fail BRIDGE_LOST "the transaction was undone when its bridge ended"
    }
    if {$channel eq ""} Start
}

proc ::aerostore::bridge::Send {fields} {
    variable channel
    variable lastId
    set lastId [expr {($lastId + 1) & 0x7fffffff}]
    set sizes {}
    set data ""
    foreach field $fields {
        set bytes [encoding convertto utf-8 $field]
        lappend sizes [string length $bytes]
        append data $bytes
    }
    set count [llength $sizes]
    set size [expr {8 + 4 * $count + [string length $data]}]
    if {[catch {
        puts -nonewline $channel [binary format iiii* $size $lastId $count $sizes]
        puts -nonewline $channel $data
        flush $channel
    } problem]} {
        Lost $problem
    }
    return $lastId
}

# Waits for a frame; id, status and values.
proc ::aerostore::bridge::Take {} {
    binary scan [TakeBytes 4] iu size
    return [Decode [TakeBytes $size]]
}

proc ::aerostore::bridge::TakeBytes {count} {
    variable channel
    variable input
    while {[string length $input] < $count} {
        set missing [expr {$count - [string length $input]}]
        if {[catch { read $channel $missing } bytes]} { Lost $bytes }
        if {$bytes eq ""} { Lost "the bridge ended" }
        append input $bytes
    }
    set bytes [string range $input 0 $count-1]
    set input [string range $input $count end]
    return $bytes
}

# Values of a frame's body. ASCII and bytes are what they are; only text is decoded.
proc ::aerostore::bridge::Decode {body} {
    variable tags
    binary scan $body iuiuiu id status count
    set tags {}
    set sizes {}
    binary scan $body x12cu${count}iu${count} tags sizes
    set at [expr {12 + 5 * $count}]
    set values {}
    foreach tag $tags size $sizes {
        set bytes [string range $body $at [expr {$at + $size - 1}]]
        incr at $size
        if {$tag == 2} { set bytes [encoding convertfrom utf-8 $bytes] }
        lappend values $bytes
    }
    return [list $id $status $values]
}

# Waits for the replies to calls in the background. Their callbacks run from the event loop.
proc ::aerostore::bridge::Drain {} {
    variable channel
    variable waiting
    if {[dict size $waiting] == 0} return
    chan event $channel readable {}
    chan configure $channel -blocking 1
    if {[catch { flush $channel } problem]} { Lost $problem }
    while {[dict size $waiting] > 0} { Deliver {*}[Take] }
}

proc ::aerostore::bridge::Readable {} {
    variable channel
    variable waiting
    variable input
    # Whoever loses the bridge here has told the callbacks.
    if {[catch { read $channel } bytes]} { catch { Lost $bytes }; return }
    append input $bytes
    if {$bytes eq "" && [eof $channel]} { catch { Lost "the bridge ended" }; return }
    while {[string length $input] >= 4} {
        binary scan $input iu size
        if {[string length $input] < 4 + $size} break
        set body [string range $input 4 [expr {3 + $size}]]
        set input [string range $input [expr {4 + $size}] end]
        Deliver {*}[Decode $body]
    }
    if {[dict size $waiting] == 0} {
        chan event $channel readable {}
        chan configure $channel -blocking 1
    }
}

proc ::aerostore::bridge::Deliver {id status values} {
    variable waiting
    variable isOpened
    if {![dict exists $waiting $id]} return
    set callback [dict get $waiting $id]
    dict unset waiting $id
    if {$status} {
        Tell $callback error [Message $values] [ErrorCode $values]
    } else {
        set isOpened 1
        Tell $callback ok [lindex $values 0] {}
    }
}

proc ::aerostore::bridge::Tell {callback args} {
    after 0 [list uplevel #0 [concat $callback $args]]
}

proc ::aerostore::bridge::Raise {values} {
    return -level 2 -code error -errorcode [ErrorCode $values] [Message $values]
}

proc ::aerostore::bridge::Message {values} {
    return "TCL_ERROR: [lindex $values 1]"
}

proc ::aerostore::bridge::ErrorCode {values} {
    return [list AEROSTORE [lindex $values 0] {*}[lrange $values 2 end]]
}

# Gives the process up and fails, for those who wait in the background too.
proc ::aerostore::bridge::Lost {reason} {
    variable channel
    variable waiting
    variable input
    set lost $channel
    set channel ""
    set input ""
    if {[catch { chan configure $lost -blocking 1; close $lost } ending]} {
        append reason " ($ending)"
    }
    set message "the bridge was lost: $reason; the next call starts another,\
        and this one may or may not have been done"
    dict for {id callback} $waiting {
        Tell $callback error "TCL_ERROR: $message" {AEROSTORE BRIDGE_LOST}
    }
    set waiting [dict create]
    return -level 2 -code error -errorcode {AEROSTORE BRIDGE_LOST} "TCL_ERROR: $message"
}
