package devcluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// DemoBinaryName is the demo session's program, which a build puts beside greenroom.
const DemoBinaryName = "demo-session"

const demoPackage = "github.com/greenroom/greenroom/cmd/demo-session"

// DemoBinary returns the path of the demo session's program: the one beside the
// running program, else one built from the checkout that the working directory
// is in. A built one stays where it is as long as its content is the same.
func DemoBinary(ctx context.Context) (string, error) {
	if exe, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(exe), DemoBinaryName)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	base := filepath.Join(cache, "demo")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(base, "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	built := filepath.Join(fresh, DemoBinaryName)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", built, demoPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("there is no %s beside the running program, and building it failed (that takes Go and greenroom's checkout as working directory): %w\n%s",
			DemoBinaryName, err, bytes.TrimSpace(out))
	}
	content, err := os.ReadFile(built)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, shortHash(content))
	path := filepath.Join(dir, DemoBinaryName)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	// Of several that come here at once one wins; the others have built the same.
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, statErr := os.Stat(path); statErr != nil {
			return "", err
		}
	}
	return path, nil
}

// busybox is where Debian's busybox-static puts its program.
const busybox = "/bin/busybox"

// imageSettings are part of the image, so its tag depends on them.
var imageSettings = []string{"--change", "ENV PATH=/bin", "--change", `CMD ["/demo-session"]`}

// BuildDemoImage returns the name of a Docker image with the demo session at
// /demo-session and a shell at /bin/sh. It is made when the daemon does not have
// it yet, without any registry. The tag follows from the content.
func BuildDemoImage(ctx context.Context) (string, error) {
	if err := DockerAvailable(ctx); err != nil {
		return "", err
	}
	binary, err := DemoBinary(ctx)
	if err != nil {
		return "", err
	}
	layer, err := demoLayer(binary)
	if err != nil {
		return "", err
	}
	name := "greenroom/demo:" + shortHash(append(layer, fmt.Sprint(imageSettings)...))
	if exec.CommandContext(ctx, "docker", "image", "inspect", name).Run() == nil {
		return name, nil
	}
	args := append(append([]string{"import"}, imageSettings...), "-", name)
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdin = bytes.NewReader(layer)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("docker import %s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return name, nil
}

// demoLayer is the image's file system as a tar, the same bytes for the same
// programs.
func demoLayer(binary string) ([]byte, error) {
	session, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	shell, err := staticBusybox()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, dir := range []struct {
		name string
		mode int64
	}{{"bin/", 0o755}, {"dev/", 0o755}, {"etc/", 0o755}, {"proc/", 0o755}, {"sys/", 0o755}, {"tmp/", 0o1777}} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir.name, Mode: dir.mode}); err != nil {
			return nil, err
		}
	}
	for _, file := range []struct {
		name    string
		content []byte
		mode    int64
	}{
		{DemoBinaryName, session, 0o755},
		{"bin/busybox", shell, 0o755},
		// A user for hooks that are not to run as root.
		{"etc/passwd", []byte("root:x:0:0:root:/tmp:/bin/sh\ndemo:x:1000:1000:demo:/tmp:/bin/sh\n"), 0o644},
		{"etc/group", []byte("root:x:0:\ndemo:x:1000:\n"), 0o644},
	} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: file.name, Mode: file.mode, Size: int64(len(file.content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(file.content); err != nil {
			return nil, err
		}
	}
	// Enough to look around in: busybox is whatever it is called.
	for _, applet := range []string{
		"sh", "cat", "echo", "env", "grep", "hostname", "id", "kill", "ls", "mkdir", "mv", "ps", "rm", "sleep", "su", "tail", "touch", "tr", "wget",
	} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox", Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// staticBusybox reads busybox; the one of Debian's other package needs
// libraries that the image does not have.
func staticBusybox() ([]byte, error) {
	const advice = "the demo image's shell is made from it: install it, for example with: apt-get install busybox-static"
	content, err := os.ReadFile(busybox)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing, and %s", busybox, advice)
	}
	if err != nil {
		return nil, err
	}
	program, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", busybox, err)
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%s is not static, and %s", busybox, advice)
		}
	}
	return content, nil
}

// CheckBusybox returns nil when the demo image's shell can be made, else an
// error that says what to install.
func CheckBusybox() error {
	_, err := staticBusybox()
	return err
}

func shortHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
