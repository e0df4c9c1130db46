package staging

import (
	"path"
	"regexp"
	"strings"
)

// A token stands for what a user chose, so it must stay data. In a command's arguments it does,
// unless a program takes some of them for code. How each program is told to do that cannot be
// listed: options are joined (-lc), have arguments (-o pipefail -c), and differ between
// versions. So a token is refused anywhere after a program that may take an argument for code,
// or pass it to one that does. It is refused, too, where it may be the program that a wrapper runs
// (nice, timeout), and after an option that commonly takes code (-c, --eval), of whatever program.
// The only exception is the usual form of a shell's positional
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
		rbash rksh rzsh yash fish csh tcsh posh oksh loksh lksh pdksh nu xonsh rc elvish osh ysh murex scsh busybox toybox coreutils eval exec source
		python pypy ipython perl ruby jruby irb node nodejs deno bun php lua luajit tclsh wish expect pwsh powershell
		java jshell groovy scala kotlin erl elixir iex guile racket sbcl clisp ghci R Rscript julia octave go gnuplot maxima gp
		awk gawk mawk nawk original-awk sed gsed ed ex vi vim nvim emacs dc bc m4 make gmake gdb lldb
		su sudo doas pkexec runuser runas setpriv gosu su-exec env script scriptreplay scriptlive unshare nsenter chroot
		sg newgrp capsh run0 sux calife dzdo chpst envdir envuidgid setuidgid softlimit bwrap firejail proot fakeroot fakechroot faketime
		time tini dumb-init catatonit unbuffer rlwrap systemd-cat systemd-nspawn cgexec valgrind torsocks proxychains ssh-agent
		numactl cpulimit systemd-inhibit
		ssh rsh slogin sshpass autossh mosh rlogin pdsh clush dsh pssh telnet socat ncat nc docker podman nerdctl ctr crictl kubectl oc nomad lxc lxc-attach machinectl
		systemd-run systemctl at batch crontab watch xargs parallel find fd entr screen tmux byobu dtach nohup.sh
		xterm uxterm gnome-terminal konsole xfce4-terminal lxterminal x-terminal-emulator alacritty kitty foot
		psql mysql mariadb sqlite3 git tar rsync strace ltrace perf flock start-stop-daemon daemonize dbus-launch dbus-run-session
		xinit startx xvfb-run`) {
		all[name] = true
	}
	return all
}()

// wrappers run the program that their arguments name, and take none of them for code. After that
// program a token is data. Wrappers whose options name files are codeRunners: there the program
// cannot be found without a list of the options.
var wrappers = map[string]wrapper{
	"nice": {values: true}, "ionice": {values: true}, "stdbuf": {values: true}, "nohup": {}, "setsid": {},
	"timeout": {operands: 1, values: true}, "taskset": {operands: 1, values: true}, "chrt": {operands: 1, values: true},
	"setarch": {operands: 1, values: true}, "linux32": {}, "linux64": {}, "i386": {}, "i686": {}, "x86_64": {},
	"prlimit": {values: true}, "choom": {values: true}, "uclampset": {values: true},
	"eatmydata": {}, "catchsegv": {}, "chronic": {values: true},
	"gnice": {values: true}, "gtimeout": {operands: 1, values: true}, "gstdbuf": {values: true}, "gnohup": {},
}

// wrapper is how a wrapper's arguments name its program.
type wrapper struct {
	operands int  // between the options and the program
	values   bool // an option may have the next argument as its value
}

// hasProgram reports whether arguments of the wrapper certainly have its program. An argument with a
// slash is one. A word is one unless it may be an option's value, an operand or a number.
func (w wrapper) hasProgram(args []string) bool {
	operands, value, ended := 0, false, false
	for _, arg := range args {
		switch {
		case arg == "--" && !ended:
			value, ended = false, true
		case strings.HasPrefix(arg, "-") && !ended:
			value = w.values && !strings.Contains(arg, "=")
		case strings.Contains(arg, "/"):
			return true
		case value:
			value = false
		case operands < w.operands:
			operands++
		case arg != "" && (arg[0] < '0' || arg[0] > '9'):
			return true
		}
	}
	return false
}

// codeOptions are the options that take code, of whatever program: also the last of a few joined ones, as in -lc.
var codeOptions = regexp.MustCompile(`^(?:-[a-zA-Z]{0,2}[ce]|--?(?i:eval|command|exec|execdir|execute))$`)

// joinedCode are such options joined with their code: -eCODE, but not -endpoint=VALUE.
var joinedCode, joinedValue = regexp.MustCompile(`^-[ce].`), regexp.MustCompile(`^-[a-z][a-z_-]{3,}=`)

// programNames returns the names that a program may be known by: without its directory and .exe,
// without its version (python3.12), and without all that follows it (bash-static, zsh5-static,
// bash.real).
func programNames(arg string) [3]string {
	name := strings.TrimSuffix(path.Base(arg), ".exe")
	names := [3]string{name, strings.TrimRight(name, "0123456789.-")}
	if end := strings.IndexAny(name, "0123456789.-"); end > 0 && len(tokensIn(arg)) == 0 {
		names[2] = name[:end]
	}
	return names
}

// runner returns the first program of an argument vector after which a token is refused; "" for
// none. Any argument may be a program: one may run another.
func runner(cmd []string) string {
	for _, arg := range cmd {
		for _, name := range programNames(arg) {
			if codeRunners[name] {
				return arg
			}
		}
	}
	return ""
}

// wrapperNamed returns a wrapper by its program.
func wrapperNamed(arg string) (wrapper, bool) {
	for _, name := range programNames(arg) {
		if w, ok := wrappers[name]; ok {
			return w, true
		}
	}
	return wrapper{}, false
}

// codeOption reports whether cmd[j] is an option that may have cmd[i] as its code: the next
// argument, or any later one if the next is an option again, as in bash -c -o pipefail CODE.
func codeOption(cmd []string, j, i int) bool {
	return codeOptions.MatchString(cmd[j]) && (i == j+1 || strings.HasPrefix(cmd[j+1], "-") || strings.HasPrefix(cmd[j+1], "+"))
}

// optionWithCode reports whether an argument is an option that has code and a token in it.
func optionWithCode(arg string) bool {
	at := tokenPattern.FindStringIndex(arg)
	if at == nil {
		return false
	}
	option, _, _ := strings.Cut(arg[:at[0]], "=")
	return codeOptions.MatchString(option) || joinedCode.MatchString(arg) && !joinedValue.MatchString(arg)
}

// whyCode returns why cmd[i] is, names or may become code; "" if it is data.
func whyCode(cmd []string, i int) string {
	if by := runner(cmd[:i]); by != "" {
		return "comes after " + by + ", which may run it as code"
	}
	if runner(cmd[i:i+1]) != "" {
		return "names a program that runs code"
	}
	if optionWithCode(cmd[i]) {
		return "is an option that may have code"
	}
	for j, arg := range cmd[:i] {
		if w, ok := wrapperNamed(arg); ok && !w.hasProgram(cmd[j+1:i]) {
			return "comes after " + arg + ", which may run it as a program (name the program by its path, before it)"
		}
		if codeOption(cmd, j, i) {
			return "comes after the option " + arg + ", which may have it as code"
		}
	}
	return ""
}

// codeIn returns a function that returns why an element of an argument vector is, names, or may
// become code; "" if it is data.
func codeIn(cmd []string) func(i int) string {
	// SHELL -c TEXT NAME DATA...
	const data = 4
	positional := len(cmd) > data && isShell(cmd[0]) && cmd[1] == "-c" && runner(cmd[data:]) == ""
	return func(i int) string {
		switch {
		case i == 0:
			return "is the program itself"
		case positional && i >= data:
			return whyCode(cmd[data:], i-data)
		}
		return whyCode(cmd, i)
	}
}

// isShell reports whether a program is one of shells. What only begins like one may be another.
func isShell(arg string) bool {
	names := programNames(arg)
	return shells[names[0]] || shells[names[1]]
}
