package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/buildinfo"
	"github.com/greenroom/greenroom/internal/staging"
)

// backupFormat is the format of the backups that this greenroom makes, and the newest that it
// reads. It becomes higher when an older greenroom would restore something else than what the
// backup has.
const backupFormat = 1

// backup is the document that greenroom backup writes.
type backup struct {
	Format int `json:"greenroom_backup"`
	// Greenroom is the version that made it, Installation whose configuration it is.
	Greenroom    string    `json:"greenroom"`
	Installation string    `json:"installation"`
	At           time.Time `json:"at"`
	// Secrets: it has the values that may be secrets. Otherwise they are staging.Hidden.
	Secrets   bool                `json:"secrets"`
	Resources httpapi.ResourceSet `json:"resources"`
}

// NewBackupCommand returns greenroom backup.
func NewBackupCommand() *cobra.Command {
	var secrets bool
	cmd := &cobra.Command{
		Use:   "backup [FILE]",
		Short: "Write the configuration to a file, which restore reads",
		Long: `Write the configuration to a file, which greenroom restore reads: zones, images, groups,
staging configs and webhooks. Without FILE, or with -, it is written to the standard output.

What may be a secret, such as jobspecs, variables, and the arguments of hooks, is (hidden),
except with --secrets: restore then keeps what is stored there, and cannot create what is not
stored. With --secrets the file is as secret as they are. A webhook's secret is in no backup:
nobody can read it. The file is readable by its owner alone, and is replaced as a whole.

Sessions and their users, tokens, locked users and pauses are in no backup. They are in
Consul's snapshot: consul snapshot save.`,
		Example: `  greenroom backup greenroom.json
  greenroom backup --secrets /secure/greenroom.json
  greenroom backup --secrets - | gpg --encrypt --recipient ops > greenroom.json.gpg`,
		Args: atMostOneFile,
		RunE: func(cmd *cobra.Command, args []string) error { return runBackup(cmd, args, secrets) },
	}
	cmd.Flags().BoolVar(&secrets, "secrets", false, "with the values that may be secrets; needs FILE, or -")
	return cmd
}

func atMostOneFile(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("give one FILE at most, not %d", len(args))
	}
	return nil
}

func runBackup(cmd *cobra.Command, args []string, secrets bool) error {
	if secrets && len(args) == 0 {
		return exit.BadUsage(errors.New("--secrets: say where the secrets go: give a FILE, or - for the standard output"))
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	b, err := readBackup(cmd.Context(), c, secrets)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the backup: %w", err)
	}
	text = append(text, '\n')
	if len(args) == 0 || args[0] == standardInput {
		_, err := cmd.OutOrStdout().Write(text)
		return err
	}
	if err := replaceFile(args[0], text); err != nil {
		return err
	}
	if output.WantsJSON(cmd) {
		return output.JSON(cmd, map[string]any{"file": args[0], "resources": b.count()})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s written to %s\n", staging.Count(b.count(), "resource"), args[0])
	return err
}

func (b backup) count() int {
	r := b.Resources
	return len(r.Zones) + len(r.Images) + len(r.Groups) + len(r.Staging) + len(r.Webhooks)
}

// readBackup reads the configuration from the broker. What names others is read before what it
// names, so that a change in the meantime leaves nothing named that the backup lacks.
func readBackup(ctx context.Context, c *client.Client, secrets bool) (backup, error) {
	b := backup{Format: backupFormat, Greenroom: buildinfo.Read().Version, At: time.Now().UTC().Truncate(time.Second), Secrets: secrets}
	id, err := installationOf(ctx, c)
	if err != nil {
		return b, err
	}
	b.Installation = id
	webhooks, err := c.ListWebhooks(ctx)
	if err != nil {
		return b, err
	}
	for _, w := range webhooks.Items {
		w.SecretFingerprint = ""
		b.Resources.Webhooks = append(b.Resources.Webhooks, w)
	}
	pools, err := c.Pools(ctx)
	if err != nil {
		return b, err
	}
	for _, p := range pools {
		b.Resources.Staging = append(b.Resources.Staging, p.Config())
	}
	images, err := c.ListImages(ctx)
	if err != nil {
		return b, err
	}
	zones, err := c.ListZones(ctx)
	if err != nil {
		return b, err
	}
	groups, err := c.ListGroups(ctx)
	if err != nil {
		return b, err
	}
	b.Resources.Images, b.Resources.Zones, b.Resources.Groups = images.Items, zones.Items, groups.Items
	if !secrets {
		b.Resources = redacted(b.Resources)
		return b, nil
	}
	return b, b.complete()
}

// installationOf returns the id of the broker's installation.
func installationOf(ctx context.Context, c *client.Client) (string, error) {
	ctx, cancel := client.Brief(ctx)
	defer cancel()
	r, err := c.GetInstallationWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return "", err
	}
	return r.JSON200.ID, nil
}

// redacted returns a set of resources without what may be a secret.
func redacted(set httpapi.ResourceSet) httpapi.ResourceSet {
	for i, v := range set.Images {
		set.Images[i] = staging.Redacted(v)
	}
	for i, v := range set.Groups {
		set.Groups[i] = staging.Redacted(v)
	}
	for i, v := range set.Webhooks {
		set.Webhooks[i] = staging.Redacted(v)
	}
	return set
}

// complete returns an error if the broker hid a value that the backup was to have.
func (b backup) complete() error {
	for _, i := range b.Resources.Images {
		if field := hiddenIn(i); field != "" {
			return fmt.Errorf("image %q: the broker hides %s from this token: an administrator's token makes a backup with secrets", i.Name, field)
		}
	}
	for _, g := range b.Resources.Groups {
		if field := hiddenIn(g); field != "" {
			return fmt.Errorf("group %q: the broker hides %s from this token: an administrator's token makes a backup with secrets", g.Name, field)
		}
	}
	return nil
}

// hiddenIn returns the first field of a resource that is hidden; "" for none.
func hiddenIn[T staging.Confidential[T]](v T) (field string) {
	v.MapSecrets(func(s staging.Secret) any {
		if s.Value == staging.Hidden && field == "" {
			field = s.Field
		}
		return s.Value
	})
	return field
}

// replaceFile writes a file that its owner alone can read. The file has the whole text, or is as
// it was.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // its mode is 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
