package sessioncatalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// maxBatch is how many entries are written in one transaction. An entry is at most two
// operations, and a transaction at most 64 (128 in newer versions of Consul).
const maxBatch = 32

// The meta of our node. Programs that care for external nodes (consul-esm) must neither
// probe it nor run its checks.
var nodeMeta = map[string]string{"external-node": "true", "external-probe": "false", "managed-by": "greenroom"}

// nodeAddress is our node's address. Nothing is reached by it: each instance has its own.
const nodeAddress = "127.0.0.1"

// change is one entry that a transaction writes, or removes if gone.
type change struct {
	session    string
	gone       bool
	assignment staging.Assignment
	// written is the entry's record after the transaction.
	written record
}

// writeWaiting writes all entries that have to be written, in batches. It stops at the
// first error.
func (c *Catalog) writeWaiting(ctx context.Context) error {
	for {
		batch := c.nextBatch(time.Now())
		if len(batch) == 0 {
			return nil
		}
		if err := c.write(ctx, batch); err != nil {
			return err
		}
	}
}

// nextBatch returns the entries for the next transaction; none until a sweep has read the
// catalog.
func (c *Catalog) nextBatch(now time.Time) []change {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sweepSoon {
		return nil
	}
	var batch []change
	for id := range c.dirty {
		e := c.entries[id]
		if now.Before(e.until) {
			continue
		}
		x := change{session: id, gone: e.gone}
		if !e.gone {
			x.assignment, x.written = e.assignment, recordOf(c.names, e.assignment, e.written)
			e.until = now.Add(writeInterval)
		}
		// From here on Consul may have the entry, whatever the transaction returns.
		e.writtenAt = now
		if batch = append(batch, x); len(batch) == maxBatch {
			break
		}
	}
	return batch
}

// write sends one transaction. When Consul refuses it because of some entries, those are
// left alone for a while and the others remain waiting.
func (c *Catalog) write(ctx context.Context, batch []change) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.ensureNode(ctx); err != nil {
		c.retry(batch)
		return err
	}
	var ops api.TxnOps
	var of []int // the index in batch of each operation
	for i, x := range batch {
		for _, op := range c.operations(x) {
			ops, of = append(ops, op), append(of, i)
		}
	}
	ok, response, _, err := c.txn.Txn(ops, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		c.retry(batch)
		return fmt.Errorf("consul: write %d entries of service %s: %w", len(batch), c.names.Service, err)
	}
	if ok {
		c.written(batch)
		return nil
	}
	// Somebody may have removed our node.
	c.nodeKnown = false
	return c.refused(batch, of, response.Errors)
}

// operations returns a change's operations.
func (c *Catalog) operations(x change) []*api.TxnOp {
	if x.gone {
		// Consul removes the instance's checks with it.
		return []*api.TxnOp{{Service: &api.ServiceTxnOp{
			Verb: api.ServiceDelete, Node: c.names.Node, Service: api.AgentService{ID: x.session, Service: c.names.Service},
		}}}
	}
	ops := []*api.TxnOp{{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: c.names.Node, Service: *instanceOf(c.names, x.assignment)}}}
	if check := checkOf(c.names, x.assignment); check != nil {
		ops = append(ops, &api.TxnOp{Check: &api.CheckTxnOp{Verb: api.CheckSet, Check: *check}})
	}
	return ops
}

// written notes that Consul has a batch.
func (c *Catalog) written(batch []change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range batch {
		e := c.entries[x.session]
		switch {
		case e == nil:
		case x.gone && e.gone:
			c.forget(x.session)
		default:
			e.written = x.written
			c.compare(x.session, e)
		}
	}
}

// retry makes a batch due again: whether Consul has it is not known.
func (c *Catalog) retry(batch []change) { c.pauseUntil(batch, time.Time{}) }

func (c *Catalog) pauseUntil(batch []change, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range batch {
		if e := c.entries[x.session]; e != nil {
			e.until = at
		}
	}
}

// refused leaves the entries alone that Consul refused, and makes the others of the batch
// due again.
func (c *Catalog) refused(batch []change, of []int, errs api.TxnErrors) error {
	c.retry(batch)
	var refused []change
	var why []string
	for _, e := range errs {
		if e.OpIndex < 0 || e.OpIndex >= len(of) {
			continue
		}
		x := batch[of[e.OpIndex]]
		refused = append(refused, x)
		why = append(why, x.session+": "+e.What)
	}
	if !missingNode(errs) {
		c.pauseUntil(refused, time.Now().Add(refusedPause))
	}
	if len(why) > 3 {
		why = append(why[:3], fmt.Sprintf("and %d more", len(refused)-3))
	}
	return fmt.Errorf("consul: write %d entries of service %s: refused: %s", len(batch), c.names.Service, strings.Join(why, "; "))
}

// missingNode reports whether a transaction failed because our node is gone, which is no
// entry's fault.
func missingNode(errs api.TxnErrors) bool {
	for _, e := range errs {
		if !strings.Contains(e.What, "Missing node") {
			return false
		}
	}
	return true
}

// errForeignNode means that the catalog has a node of our name that greenroom did not make.
var errForeignNode = errors.New("the catalog has a node of this name that greenroom did not make, and leaves it alone; rename that node")

// ensureNode makes our node, unless the catalog has it. It never changes another node of
// that name.
func (c *Catalog) ensureNode(ctx context.Context) error {
	if c.nodeKnown {
		return nil
	}
	name := c.names.Node
	node, _, err := c.catalog.Node(name, (&api.QueryOptions{}).WithContext(ctx))
	switch {
	case err != nil:
		return fmt.Errorf("consul: read node %s: %w", name, err)
	case node != nil && node.Node.Meta["managed-by"] != nodeMeta["managed-by"]:
		return fmt.Errorf("consul: use node %s for the entries of assigned sessions: %w", name, errForeignNode)
	case node == nil:
		// With ModifyIndex 0 this fails if the node exists by now.
		op := &api.NodeTxnOp{Verb: api.NodeCAS, Node: api.Node{Node: name, Address: nodeAddress, Meta: nodeMeta}}
		ok, response, _, err := c.txn.Txn(api.TxnOps{{Node: op}}, (&api.QueryOptions{}).WithContext(ctx))
		if err != nil {
			return fmt.Errorf("consul: make node %s: %w", name, err)
		}
		if !ok {
			return fmt.Errorf("consul: make node %s: %s", name, response.Errors[0].What)
		}
	}
	c.nodeKnown = true
	return nil
}
