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

// DemoBinaryName is the file name of the demo session's program, which `make build`
// puts beside greenroom.
const DemoBinaryName = "demo-session"

const demoPackage = "github.com/greenroom/greenroom/cmd/demo-session"

// DemoBinary returns the path of the demo session's program. It prefers the one beside
// the running program, and otherwise builds one from the checkout around the working
// directory. The path of a built program depends only on its content.
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
		return "", fmt.Errorf("no %s beside the running program, and building it failed (that needs Go, and greenroom's checkout as the working directory): %w\n%s",
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
	// If several processes arrive here at once, one rename succeeds. All have built the
	// same content.
	if err := os.Rename(fresh, dir); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, statErr := os.Stat(path); statErr != nil {
			return "", err
		}
	}
	return path, nil
}

// busybox is the path of the program in Debian's package busybox-static.
const busybox = "/bin/busybox"

// imageSettings are arguments of docker import. They are part of the image, so its tag
// depends on them.
var imageSettings = []string{"--change", "ENV PATH=/bin", "--change", `CMD ["/demo-session"]`}

// BuildDemoImage returns the name of a Docker image with the demo session at
// /demo-session and a shell at /bin/sh. If the daemon does not have the image yet,
// BuildDemoImage makes it without any registry. The tag is a hash of the content.
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

// demoLayer returns the image's file system as a tar. Equal programs produce equal
// bytes.
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
		// A user for hooks that must not run as root.
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
	// Enough tools to look around in the container. Busybox acts by the name of its link.
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

// staticBusybox returns the content of a static busybox. The one of Debian's package
// busybox needs libraries that the image does not have.
func staticBusybox() ([]byte, error) {
	const advice = "the demo image needs it as a shell: install it, for example with: apt-get install busybox-static"
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

// CheckBusybox returns nil if there is a shell for the demo image, and otherwise an
// error that names the package to install.
func CheckBusybox() error {
	_, err := staticBusybox()
	return err
}

func shortHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}
