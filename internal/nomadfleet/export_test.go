package nomadfleet

import "time"

// SetPageSize makes lists use small pages.
func (f *Fleet) SetPageSize(n int32) { f.pageSize = n }

// SetStreamTimeout makes a watch end after a shorter silence.
func (f *Fleet) SetStreamTimeout(d time.Duration) { f.streamTimeout = d }
