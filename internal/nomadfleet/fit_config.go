package nomadfleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// configVolumes is the key of a task's config that maps directories of the node.
const configVolumes = "volumes"

// driverKeys holds the keys of each driver's task config (Nomad 1.10.5). Nomad itself
// checks them only on the node, when the session starts.
var driverKeys = map[string][]string{
	"docker": strings.Fields(`advertise_ipv6_address args auth auth_soft_fail cap_add cap_drop cgroupns command
		container_exists_attempts cpu_cfs_period cpu_hard_limit cpuset_cpus devices dns_options dns_search_domains dns_servers
		entrypoint extra_hosts force_pull group_add healthchecks hostname image image_pull_timeout init interactive ipc_mode
		ipv4_address ipv6_address isolation labels load logging mac_address memory_hard_limit mount mounts network_aliases
		network_mode oom_score_adj pid_mode pids_limit port_map ports privileged readonly_rootfs runtime security_opt shm_size
		storage_opt sysctl tty ulimit userns_mode uts_mode volume_driver volumes work_dir`),
	"exec":     strings.Fields(`args cap_add cap_drop command ipc_mode pid_mode work_dir`),
	"raw_exec": strings.Fields(`args cgroup_v1_override cgroup_v2_override command denied_envvars oom_score_adj work_dir`),
	"java":     strings.Fields(`args cap_add cap_drop class class_path ipc_mode jar_path jvm_options pid_mode work_dir`),
	"qemu":     strings.Fields(`accelerator args drive_interface graceful_shutdown guest_agent image_path port_map`),
	"mock_driver": strings.Fields(`driver_advertise driver_ip driver_port_map exec_command exit_code exit_err_msg exit_signal
		kill_after plugin_exit_after run_for signal_error start_block_for start_error start_error_recoverable stderr_repeat
		stderr_repeat_duration stderr_string stdout_repeat stdout_repeat_duration stdout_string`),
}

// checkDriver returns a *staging.InvalidError for run config keys and volumes that the
// template's driver does not support. For a driver that is not in driverKeys it returns
// nil, and the driver reports problems itself when the session starts.
func checkDriver(job *nomadapi.Job, spec staging.Spec) error {
	driver := mainTasks(job.TaskGroups[0])[0].Driver
	known, ok := driverKeys[driver]
	if !ok {
		return nil
	}
	e := &staging.InvalidError{What: fmt.Sprintf("image %q", spec.Image.Name)}
	for _, key := range slices.Sorted(maps.Keys(spec.RunConfig)) {
		if !slices.Contains(known, key) {
			e.Fields = append(e.Fields, staging.FieldError{
				Field: "run_config." + key, Message: fmt.Sprintf("is not a key of the %s driver; its keys are %s", driver, strings.Join(known, ", ")),
			})
		}
	}
	if len(spec.Volumes) > 0 && !slices.Contains(known, configVolumes) {
		field := "volume_mappings"
		if len(spec.Image.VolumeMappings) == 0 && spec.Image.PersistentProfilePath != "" {
			field = "persistent_profile_path"
		}
		e.Fields = append(e.Fields, staging.FieldError{
			Field: field, Message: fmt.Sprintf("cannot be honoured: the %s driver cannot map directories of the node", driver),
		})
	}
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}

// fitConfig merges the run config into the main task's config, and adds the volumes and
// the user's SSH keys.
func fitConfig(t *nomadapi.Task, spec staging.Spec) {
	if t.Config == nil && len(spec.RunConfig)+len(spec.Volumes) > 0 {
		t.Config = map[string]any{}
	}
	maps.Copy(t.Config, spec.RunConfig)
	if len(spec.Volumes) > 0 {
		t.Config[configVolumes] = withVolumes(t.Config[configVolumes], spec.Volumes)
	}
	if len(spec.SSHKeys) > 0 {
		t.Templates = append(t.Templates, sshKeysTemplate(spec.SSHKeys))
		// Nomad resolves the directory, which differs in a container and on the node.
		t.Env["GREENROOM_SSH_AUTHORIZED_KEYS"] = "${NOMAD_SECRETS_DIR}/" + sshKeysPath
	}
}

// sshKeysPath is the path of the user's SSH keys below the task's secrets directory.
const sshKeysPath = "ssh/authorized_keys"

// withVolumes appends mappings to a config's volumes, each as source:target or
// source:target:ro.
func withVolumes(existing any, mappings []staging.VolumeMapping) []any {
	var all []any
	switch have := existing.(type) {
	case []any:
		all = append(all, have...)
	case []string:
		for _, v := range have {
			all = append(all, v)
		}
	}
	for _, m := range mappings {
		v := literal(m.Source) + ":" + literal(m.Target)
		if m.ReadOnly {
			v += ":ro"
		}
		all = append(all, v)
	}
	return all
}

// sshKeysTemplate returns a template block that writes the user's public keys to a file.
// No key contains its delimiters, so Nomad's templating changes nothing.
func sshKeysTemplate(keys []string) *nomadapi.Template {
	return &nomadapi.Template{
		EmbeddedTmpl: ptr(strings.Join(keys, "\n") + "\n"),
		DestPath:     ptr("secrets/" + sshKeysPath),
		// The keys are public, and the session's programs may run as any user.
		Perms:      ptr("0444"),
		ChangeMode: ptr("noop"),
		LeftDelim:  ptr("\x01{"), RightDelim: ptr("}\x01"),
		// The rest has no effect, but Nomad validates it.
		ChangeSignal: ptr(""), Splay: ptr(5 * time.Second), VaultGrace: ptr(time.Duration(0)), Envvars: ptr(false), Once: ptr(true), ErrMissingKey: ptr(false),
	}
}
