package ifneeded aerostore 0.2.0 [list source [file join $dir aerostore.tcl]]
