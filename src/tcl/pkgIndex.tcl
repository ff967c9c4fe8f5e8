package ifneeded aerostore 0.1.0 [list source [file join $dir aerostore.tcl]]
