//go:build unix

package trust

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNSSLockedByAProgram: a lock of SQLite's on either file is told apart from
// damage, with the program that holds it.
func TestNSSLockedByAProgram(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	python := need(t, "python3", "python3")
	for file, mode := range map[string]string{"cert9.db": "EXCLUSIVE", "key4.db": "IMMEDIATE"} { // the latter lets others read
		t.Run(file+" "+mode, func(t *testing.T) {
			m, root, ctx := journalled(t), newRoot(t).cert, t.Context()
			db := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
			release := holdOpen(t, exec.Command(python, "-c", `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN " + sys.argv[2])
print("locked", flush=True)
sys.stdin.read()`, filepath.Join(db, file), mode))
			was := tree(t, m.Home)
			r := byName(t, m.Install(ctx, root, KindNSS), oldName)
			if !errors.Is(r.Err, ErrLocked) || errors.Is(r.Err, ErrDatabase) || r.State == StateTrusted ||
				!strings.Contains(r.Err.Error(), "python") || !strings.Contains(r.Fix, "close python") {
				t.Errorf("%+v", r)
			}
			t.Logf("%v\n  next: %s", r.Err, r.Fix)
			if mode == "EXCLUSIVE" && r.State != StateUnknown {
				t.Errorf("Status cannot read it and says %s", r.State)
			}
			release()
			if now := tree(t, m.Home); !slices.Equal(now, was) {
				t.Errorf("was %q, is %q", was, now)
			}
			checkAll(t, m.Install(ctx, root, KindNSS), StateTrusted)
		})
	}
}

// killed starts certutil on a database and kills it after a while.
func killed(t *testing.T, db string, after time.Duration, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "certutil", append(args, "-d", "sql:"+db, "-f", os.DevNull)...)
	must(t, cmd.Start())
	deadline := time.NewTimer(after)
	defer deadline.Stop()
	<-deadline.C
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
}

// TestNSSKilled: a process that is killed, with its certutil, between the journal
// and the end of the change leaves a database in one of dozens of states. Whatever
// it is, Install completes it and Remove takes it back.
func TestNSSKilled(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	const rounds = 16
	for _, step := range []string{"-N", "-A", "-D"} {
		for i := range rounds {
			m, one, ctx := journalled(t), newRoot(t), t.Context()
			after := 25 * time.Millisecond * time.Duration(i) / rounds // certutil takes about 15 ms
			s := m.nssStores()[0]
			must(t, m.record(ctx, s, one.cert))
			must(t, os.MkdirAll(s.Path(), 0o700))
			add := []string{"-A", "-n", nickname(one.cert), "-t", "C,,", "-i", pemFile(t, one)}
			switch step {
			case "-N":
				killed(t, s.Path(), after, "-N", "--empty-password")
			case "-A":
				makeDB(t, s.Path())
				killed(t, s.Path(), after, add...)
			case "-D":
				makeDB(t, s.Path())
				certutil(t, s.Path(), add...)
				killed(t, s.Path(), after, "-D", "-n", nickname(one.cert))
			}
			left := strings.Join(tree(t, s.Path()), " ")
			if i%2 == 0 {
				results := m.Install(ctx, one.cert, KindNSS)
				if checkAll(t, results, StateTrusted); !Trusted(results) {
					t.Errorf("%s, killed after %s with %s: %+v", step, after, left, results)
				}
			}
			checkAll(t, m.Remove(ctx, one.cert, KindNSS), StateAbsent)
			if now := append(tree(t, m.Home), tree(t, m.Journal)...); now != nil {
				t.Errorf("%s, killed after %s with %s, leaves %q", step, after, left, now)
			}
		}
	}
}

// TestNSSUnfinished: the states that a certutil -N leaves, in its order, are told
// from those of a damaged database, also by a Status that changes nothing.
func TestNSSUnfinished(t *testing.T) {
	need(t, "certutil", "libnss3-tools")
	complete := makeDB(t, filepath.Join(t.TempDir(), "db"))
	for name, test := range map[string]struct {
		files map[string]bool // true: as in a complete one, false: empty
		want  State
	}{
		"modules only":       {map[string]bool{"pkcs11.txt": true}, StateAbsent},
		"cert9.db begun":     {map[string]bool{"pkcs11.txt": true, "cert9.db": false}, StateAbsent},
		"cert9.db complete":  {map[string]bool{"pkcs11.txt": true, "cert9.db": true}, StateAbsent},
		"key4.db begun":      {map[string]bool{"pkcs11.txt": true, "cert9.db": true, "key4.db": false}, StateAbsent},
		"cert9.db cut to 0":  {map[string]bool{"pkcs11.txt": true, "cert9.db": false, "key4.db": true}, StateUnknown},
		"cert9.db went away": {map[string]bool{"pkcs11.txt": true, "key4.db": true}, StateUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			m, root, ctx := testMachine(t), newRoot(t).cert, t.Context()
			db := filepath.Join(m.Home, ".pki/nssdb")
			must(t, os.MkdirAll(db, 0o700))
			for file, whole := range test.files {
				var data []byte
				if whole {
					var err error
					data, err = os.ReadFile(filepath.Join(complete, file))
					must(t, err)
				}
				must(t, os.WriteFile(filepath.Join(db, file), data, 0o600))
			}
			was := tree(t, db)
			if r := byName(t, m.Status(ctx, root, KindNSS), oldName); r.State != test.want || r.Reason == "" {
				t.Errorf("%+v", r)
			}
			if now := tree(t, db); !slices.Equal(now, was) {
				t.Errorf("Status changed %q to %q", was, now)
			}
			r := byName(t, m.Install(ctx, root, KindNSS), oldName)
			if test.want == StateAbsent && r.State != StateTrusted || test.want == StateUnknown && (!errors.Is(r.Err, ErrDatabase) || r.Fix == "") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestNSSUnmakeLeavesEverythingElse: a database that Install made and somebody has
// come to use stays, whatever they keep in it.
func TestNSSUnmakeLeavesEverythingElse(t *testing.T) {
	for name, use := range map[string]func(t *testing.T, db string){
		"a certificate": func(t *testing.T, db string) {
			certutil(t, db, "-A", "-n", "theirs", "-t", ",,", "-i", pemFile(t, newRoot(t)))
		},
		"a key": func(t *testing.T, db string) {
			noise := filepath.Join(t.TempDir(), "noise")
			must(t, os.WriteFile(noise, []byte(strings.Repeat("noise", 99)), 0o600))
			certutil(t, db, "-G", "-k", "ec", "-q", "secp256r1", "-z", noise, "-f", os.DevNull)
		},
		"a key that certutil does not list": func(t *testing.T, db string) {
			tool(t, "symkeyutil", "-K", "-n", "theirs", "-t", "aes", "-s", "32", "-d", "sql:"+db)
		},
		"a password": func(t *testing.T, db string) {
			before, after := filepath.Join(t.TempDir(), "before"), filepath.Join(t.TempDir(), "after")
			must(t, errors.Join(os.WriteFile(before, []byte("\n"), 0o600), os.WriteFile(after, []byte("a-test-password\n"), 0o600)))
			certutil(t, db, "-W", "-f", before, "-@", after)
		},
		"a module": func(t *testing.T, db string) {
			file, err := os.OpenFile(filepath.Join(db, "pkcs11.txt"), os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			defer file.Close()
			_, err = fmt.Fprint(file, "library=/usr/lib/opensc-pkcs11.so\nname=theirs\n")
			must(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, ctx := journalled(t), t.Context()
			db := filepath.Join(m.Home, ".pki/nssdb")
			s := m.nssStores()[0].(nssStore)
			must(t, s.makeFolder())
			must(t, s.create(ctx))
			if empty, err := s.empty(ctx); !empty || err != nil {
				t.Fatalf("a new one is not empty: %v", err)
			}
			use(t, db)
			was := tree(t, m.Home)
			must(t, s.unmake(ctx, filepath.Join(m.Home, ".pki")))
			if now := tree(t, m.Home); !slices.Equal(now, was) {
				t.Errorf("was %q, is %q", was, now)
			}
		})
	}
	t.Run("something that cannot be read", func(t *testing.T) {
		m, ctx := journalled(t), t.Context()
		db := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
		must(t, os.WriteFile(filepath.Join(db, "cert9.db"), []byte(strings.Repeat("not a database ", 999)), 0o600))
		was := tree(t, m.Home)
		if err := m.nssStores()[0].(nssStore).unmake(ctx, filepath.Join(m.Home, ".pki")); !errors.Is(err, ErrDatabase) {
			t.Error(err)
		}
		if now := tree(t, m.Home); !slices.Equal(now, was) {
			t.Errorf("was %q, is %q", was, now)
		}
	})
	t.Run("entries that came and went", func(t *testing.T) {
		m, ctx := journalled(t), t.Context()
		db := makeDB(t, filepath.Join(m.Home, ".pki/nssdb"))
		const many = 20 // more than fit into one page of the table
		for i := range many {
			r := newRoot(t)
			template := *r.cert
			template.Subject = pkix.Name{CommonName: fmt.Sprint("theirs ", i)}
			der, err := x509.CreateCertificate(rand.Reader, &template, &template, &r.key.PublicKey, r.key)
			must(t, err)
			file := filepath.Join(t.TempDir(), "theirs.der")
			must(t, os.WriteFile(file, der, 0o600))
			certutil(t, db, "-A", "-n", fmt.Sprint("theirs ", i), "-t", "C,,", "-i", file)
		}
		for i := range many {
			certutil(t, db, "-D", "-n", fmt.Sprint("theirs ", i))
		}
		must(t, m.nssStores()[0].(nssStore).unmake(ctx, filepath.Join(m.Home, ".pki")))
		if left := tree(t, m.Home); left != nil {
			t.Errorf("left: %q", left)
		}
	})
}

// tool runs a program of NSS.
func tool(t *testing.T, program string, args ...string) {
	t.Helper()
	need(t, program, "libnss3-tools")
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", program, args, err, out)
	}
}

// TestChromiumRuns: the lock is a link, which a killed Chromium leaves behind.
func TestChromiumRuns(t *testing.T) {
	here, err := os.Hostname()
	must(t, err)
	for name, test := range map[string]struct {
		target string
		want   bool
	}{
		"no lock":                    {"", false},
		"another program's number":   {fmt.Sprintf("%s-%d", here, os.Getpid()), false},
		"a number of nobody":         {here + "-999999999", false},
		"of another host":            {fmt.Sprintf("elsewhere-%d", os.Getpid()), false},
		"no number":                  {here + "-x", false},
		"a program of that name":     {"running", true},
		"nothing that looks like it": {"x", false},
	} {
		m := testMachine(t)
		folder := filepath.Join(m.ConfigHome, "chromium")
		must(t, os.MkdirAll(folder, 0o700))
		if test.target == "running" {
			program := filepath.Join(t.TempDir(), "chromium")
			must(t, os.Symlink(need(t, "cat", "coreutils"), program))
			cmd := exec.Command("sh", "-c", `echo ready; exec "$0"`, program)
			holdOpen(t, cmd)
			waitFor(t, func() bool { return programName(cmd.Process.Pid) == "chromium" })
			test.target = fmt.Sprintf("%s-%d", here, cmd.Process.Pid)
		}
		if test.target != "" {
			must(t, os.Symlink(test.target, filepath.Join(folder, "SingletonLock")))
		}
		if got := m.nssStores()[0].(nssStore).running(); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// waitFor asks until it is so.
func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for again := time.NewTicker(5 * time.Millisecond); !so(); {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatal("it does not come to be")
		}
	}
}
