package redisstore

import (
	"context"
	"time"
)

// codeKey is the key of a code that was used, of a link through a gateway.
func (s *Store) codeKey(id string) string { return s.o.Prefix + "code:" + id }

// Redeem reports whether this is the first use of a code. The code is remembered for life.
func (s *Store) Redeem(ctx context.Context, id string, life time.Duration) (first bool, err error) {
	first, err = s.rdb.SetNX(ctx, s.codeKey(id), 1, life).Result()
	return first, callError(err, "note that the code of a link is used")
}
