package nomadfleet

import "time"

// SetPageSize makes lists come in small pages.
func (f *Fleet) SetPageSize(n int32) { f.pageSize = n }

// SetSilence makes a watch impatient.
func (f *Fleet) SetStreamTimeout(d time.Duration) { f.streamTimeout = d }
