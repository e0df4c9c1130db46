package staging

import (
	"path"
	"strings"
)

// A token stands for what a user chose, so it must stay data. In a command's arguments it does,
// unless a program takes some of them for code. How each program is told to do that cannot be
// listed: options are joined (-lc), have arguments (-o pipefail -c), and differ between
// versions. So a token is refused anywhere after a program that may take an argument for code,
// or pass it to one that does. The only exception is the usual form of a shell's positional
// parameters, in which nothing but the shell's own text is code.

// shells are the shells of that form.
var shells = map[string]bool{"sh": true, "bash": true, "dash": true, "ash": true, "zsh": true, "ksh": true, "mksh": true}

// codeRunners are all programs after which a token is refused.
var codeRunners = func() map[string]bool {
	all := map[string]bool{}
	for name := range shells {
		all[name] = true
	}
	for name := range strings.FieldsSeq(`
		rbash rksh rzsh yash fish csh tcsh posh oksh loksh busybox toybox eval exec source
		python pypy ipython perl ruby jruby irb node nodejs deno bun php lua luajit tclsh wish expect pwsh powershell
		java jshell groovy scala kotlin erl elixir iex guile racket sbcl clisp ghci R Rscript julia octave go
		awk gawk mawk nawk original-awk sed gsed ed ex vi vim nvim emacs dc bc m4 make gmake gdb lldb
		su sudo doas pkexec runuser runas setpriv gosu su-exec env script scriptreplay scriptlive unshare nsenter chroot
		ssh rsh slogin sshpass autossh mosh telnet socat ncat nc docker podman nerdctl ctr crictl kubectl oc nomad lxc lxc-attach machinectl
		systemd-run systemctl at batch crontab watch xargs parallel find fd entr screen tmux byobu dtach nohup.sh
		xterm uxterm gnome-terminal konsole xfce4-terminal lxterminal x-terminal-emulator alacritty kitty foot
		psql mysql mariadb sqlite3 git tar rsync strace ltrace perf flock start-stop-daemon daemonize dbus-launch dbus-run-session
		xinit startx xvfb-run`) {
		all[name] = true
	}
	return all
}()

// programName returns the name of a program without its directory, its version and .exe.
func programName(arg string) string {
	return strings.TrimRight(strings.TrimSuffix(path.Base(arg), ".exe"), "0123456789.-")
}

// runner returns the first program of an argument vector after which a token is refused; "" for
// none. Any argument may be a program: one may run another.
func runner(cmd []string) string {
	for _, arg := range cmd {
		if codeRunners[programName(arg)] {
			return arg
		}
	}
	return ""
}

// codeIn returns a function that reports whether an element of an argument vector is, names,
// or may become code.
func codeIn(cmd []string) func(i int) bool {
	// SHELL -c TEXT NAME DATA...
	const name, data = 3, 4
	positional := len(cmd) > data && shells[programName(cmd[0])] && cmd[1] == "-c" && runner(cmd[name+1:]) == ""
	return func(i int) bool {
		if positional && i >= data {
			return false
		}
		return i == 0 || runner(cmd[:i]) != "" || codeRunners[programName(cmd[i])]
	}
}
