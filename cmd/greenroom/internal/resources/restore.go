package resources

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// restoreFlags are the flags of restore. Its file is the path of the applyFlags.
type restoreFlags struct {
	applyFlags
	dryRun, skipHidden, other bool
}

// NewRestoreCommand returns greenroom restore.
func NewRestoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Store the configuration of a backup again",
		Long: `Store the configuration of a backup again, which greenroom backup made: zones, images,
groups, staging configs and webhooks. FILE may be - for the standard input.

It prints what it creates and changes, then does it; what is stored as the backup has it is
left alone. With --dry-run it changes nothing, and the exit code is 7 when there is something
to change. Everything is held to every rule before the first resource is stored. Nothing is
deleted, except with --prune: then what is stored and not in the backup goes, of the kinds
that the backup has. Sessions that users have stay.

Where a backup was made without --secrets, and for the secrets of webhooks always, what is
stored stays. A resource that needs such a value and is not stored cannot be restored: it
is named, and nothing is changed, except with --skip-hidden, which leaves it out. A backup of
another installation, such as the one that was lost, needs --other-installation. A backup
in a format of a newer greenroom is refused.`,
		Example: `  greenroom restore greenroom.json --dry-run
  greenroom restore greenroom.json
  greenroom restore greenroom.json --prune --yes`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give one FILE, not %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.paths = args
			return runRestore(cmd, f)
		},
	}
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would change, and change nothing")
	cmd.Flags().BoolVar(&f.skipHidden, "skip-hidden", false, "leave out what is not stored and lacks a value that the backup hides")
	cmd.Flags().BoolVar(&f.other, "other-installation", false, "also restore the backup of another installation")
	cmd.Flags().BoolVar(&f.prune, "prune", false, "delete what is stored and not in the backup, of the kinds that it has")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "delete without asking")
	cmd.Flags().BoolVar(&f.secrets, "show-secrets", false, "show the values that change where they may be secrets")
	return cmd
}

func runRestore(cmd *cobra.Command, f restoreFlags) error {
	b, err := openBackup(f.paths[0], cmd.InOrStdin())
	if err != nil {
		return err
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	id, err := installationOf(cmd.Context(), c)
	if err != nil {
		return err
	}
	if b.Installation != id && !f.other {
		return notValid("it is the backup of installation %s, and this is installation %s: --other-installation restores it all the same", b.Installation, id)
	}
	files := b.files()
	there, err := files.set.storedBy(cmd.Context(), c)
	if err != nil {
		return err
	}
	for _, left := range files.leaveOutHidden(there) {
		if f.skipHidden {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", left, "left out")
			continue
		}
		files.find(hcl.Range{}, "%s; --skip-hidden leaves it out", left)
	}
	if err := files.err(); err != nil {
		return err
	}
	all, err := f.changes(cmd, c, files, there)
	if err != nil {
		return err
	}
	p := planned(all)
	if f.dryRun {
		return p.print(cmd)
	}
	if !output.WantsJSON(cmd) {
		printPlan(cmd.OutOrStdout(), p)
	}
	if err := f.confirm(cmd, all); err != nil {
		return err
	}
	items := []Applied{}
	err = makeChanges(cmd.Context(), c, all, func(ch change) {
		items = append(items, Applied{Kind: ch.Kind, Name: ch.Name, Result: ch.Action.done(), Fields: ch.Fields})
	})
	if output.WantsJSON(cmd) {
		return errors.Join(err, output.JSON(cmd, map[string][]Applied{"items": items}))
	}
	if err == nil && len(p.Changes) > 0 {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "Restored.")
	}
	return err
}

// notValid is the error for a backup that cannot be restored.
func notValid(format string, args ...any) error {
	return &FilesError{[]finding{{text: fmt.Sprintf(format, args...)}}}
}

// maxBackup bounds what is read as a backup: the broker takes a set of 16 MiB.
const maxBackup = 64 << 20

// openBackup reads a backup, strictly: what this greenroom does not know it would not restore.
func openBackup(path string, stdin io.Reader) (b backup, err error) {
	from := stdin
	if path != standardInput {
		file, err := os.Open(path)
		if err != nil {
			return b, err
		}
		defer file.Close()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, maxBackup+1))
	if err != nil {
		return b, err
	}
	var head struct {
		Format    int    `json:"greenroom_backup"`
		Greenroom string `json:"greenroom"`
	}
	switch err := json.Unmarshal(text, &head); {
	case len(text) > maxBackup:
		return b, notValid("%s: it is no backup: it has more than %d MiB", path, maxBackup>>20)
	case err != nil:
		return b, notValid("%s: it is no backup of greenroom's, or not all of one: %v", path, err)
	case head.Format < 1:
		return b, notValid("%s: it is no backup of greenroom's: greenroom backup makes them", path)
	case head.Format > backupFormat:
		return b, notValid("%s: greenroom %s made it, in format %d, and this greenroom reads formats up to %d: use that one", path, head.Greenroom, head.Format, backupFormat)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return b, notValid("%s: greenroom %s made it, and this greenroom cannot restore all of it: %v", path, head.Greenroom, err)
	}
	return b, nil
}

// files returns the backup as if its resources had been read from files. Findings about them have
// no lines.
func (b backup) files() *files {
	f := &files{declared: map[string]hcl.Range{}, blocks: map[string]*hcl.Block{}, broken: map[*hcl.Block][]string{}}
	r := b.Resources
	f.set = Set{Zones: r.Zones, Images: r.Images, Groups: r.Groups, Configs: r.Staging, Webhooks: r.Webhooks}
	add := func(kind, name string) {
		id := kind + " " + name
		if _, twice := f.declared[id]; twice {
			f.find(hcl.Range{}, "%s %q is in the backup twice", kind, name)
		}
		f.declared[id] = hcl.Range{}
		f.blocks[id] = &hcl.Block{Type: kind, Labels: []string{name}, LabelRanges: []hcl.Range{{}}}
	}
	for _, v := range r.Zones {
		add(blockZone, v.Name)
	}
	for _, v := range r.Images {
		add(blockImage, v.Name)
	}
	for _, v := range r.Groups {
		add(blockGroup, v.Name)
	}
	for _, v := range r.Staging {
		add(blockStaging, v.Name)
	}
	for _, v := range r.Webhooks {
		add(blockWebhook, v.Name)
	}
	return f
}

// leaveOutHidden takes out what is not stored and has hidden values, which cannot be created, with
// the staging configs that need it, and returns a sentence for each.
func (f *files) leaveOutHidden(there stored) (left []string) {
	gone := map[string]bool{}
	out := func(kind, name, why string) {
		gone[kind+" "+name] = true
		left = append(left, fmt.Sprintf("%s %q cannot be created: %s", kind, name, why))
	}
	f.set.Images = without(blockImage, f.set.Images, there, out, func(i staging.Image) string { return i.Name })
	f.set.Groups = without(blockGroup, f.set.Groups, there, out, func(g staging.Group) string { return g.Name })
	f.set.Webhooks = without(blockWebhook, f.set.Webhooks, there, out, func(w staging.Webhook) string { return w.Name })
	var configs []staging.Config
	for _, c := range f.set.Configs {
		if gone[blockImage+" "+c.Image] {
			out(blockStaging, c.Name, fmt.Sprintf("image %q cannot", c.Image))
			continue
		}
		configs = append(configs, c)
	}
	f.set.Configs = configs
	return left
}

func without[T staging.Confidential[T]](kind string, all []T, there stored, out func(kind, name, why string), name func(T) string) (kept []T) {
	for _, v := range all {
		field := hiddenIn(v)
		if field == "" || there[kind][name(v)] != "" {
			kept = append(kept, v)
			continue
		}
		out(kind, name(v), fmt.Sprintf("the backup hides its %s, and it is not stored", field))
	}
	return kept
}
