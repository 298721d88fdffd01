package walktest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/orchard9/rdev/internal/pgtest"
	"github.com/orchard9/rdev/server/client"
)

// composition reads compose.yaml, after change, as Docker Compose does, by its own
// library, which holds it to the schema.
func composition(t *testing.T, change func(string) string) (*types.Project, error) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "compose.yaml"))
	must(t, err)
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  absolute(t, root),
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(change(string(text)))}},
		Environment: types.Mapping{},
	}, func(o *loader.Options) { o.SetProjectName("rdev", true) })
}

// TestComposeIsReadStrictly shows that a mistake in compose.yaml would be found.
func TestComposeIsReadStrictly(t *testing.T) {
	for from, to := range map[string]string{
		"stop_grace_period:":  "stop_grace_time:",
		"service_healthy":     "service_well",
		"- source: proxy":     "- source: proxies",
		"{condition:":         "{conditions:",
		"depends_on: [rdev-1": "depends_on: [rdev-3",
	} {
		_, err := composition(t, func(text string) string {
			if !strings.Contains(text, from) {
				t.Fatalf("compose.yaml has no %q", from)
			}
			return strings.Replace(text, from, to, 1)
		})
		if err == nil {
			t.Errorf("with %q instead of %q it is taken", to, from)
		}
	}
}

// TestCompose starts what compose.yaml starts, as far as that needs no container:
// the two replicas with their command and environment, and the proxy with its
// configuration, over a real Postgres. Names of containers become addresses here.
func TestCompose(t *testing.T) {
	project, err := composition(t, func(text string) string { return text })
	must(t, err)
	names := project.ServiceNames()
	slices.Sort(names)
	if fmt.Sprint(names) != "[postgres proxy rdev-1 rdev-2]" {
		t.Fatalf("the services are %q", names)
	}
	checkDatabase(t, project)
	home := t.TempDir()
	binary := filepath.Join(home, "bin", "rdev")
	database := pgtest.New(t, nil)

	workspace := filepath.Join(home, "workspace")
	must(t, os.Mkdir(workspace, 0o755))
	addresses := map[string]string{}
	var admin string
	stops := map[string]func(){}
	for _, name := range []string{"rdev-1", "rdev-2"} {
		service := project.Services[name]
		addresses[name] = freeAddr(t)
		data := filepath.Join(home, name)
		must(t, os.Mkdir(data, 0o700))
		here := strings.NewReplacer("/usr/local/bin/rdev", binary, "/workspace", workspace, " exec rdev ", " exec "+binary+" ")
		env := environment(t, home)
		for key, value := range service.Environment {
			switch key {
			case "RDEV_ADDR":
				*value = addresses[name]
			case "RDEV_DATA_DIR":
				*value = data
			case "RDEV_DATABASE_URL":
				*value = database
			case "RDEV_ADMIN_KEY":
				admin = *value
			case "GOCACHE":
				continue
			}
			env = append(env, key+"="+*value)
		}
		command := slices.Clone(service.Command)
		if len(command) != 3 || command[0] != "sh" {
			t.Fatalf("the command of %s is not one of sh: %q", name, command)
		}
		cmd, _, ended := background(t, absolute(t, root), env, command[0], command[1], here.Replace(command[2]))
		stops[name] = func() { _ = cmd.Process.Signal(os.Interrupt); <-ended }
		answers(t, "http://"+addresses[name]+"/readyz", ended)
	}
	proxy := "http://" + serveProxy(t, project, home, addresses)

	t.Run("BothReplicasServe", func(t *testing.T) {
		c := proxied(t, proxy, admin)
		for range 4 { // the proxy takes turns
			projects, err := c.Projects(t.Context())
			must(t, err)
			if len(projects) != 1 || projects[0].Name != "demo" {
				t.Fatalf("the projects are %v", projects)
			}
		}
	})
	t.Run("EventsAreNotHeldBack", func(t *testing.T) {
		c := proxied(t, proxy, admin)
		cmd, err := c.RunShell(t.Context(), "demo", client.Shell{
			Argv: []string{"awk", `BEGIN { for (i = 1; i <= 8; i++) { print i; fflush(); system("sleep 0.25") } }`},
		}, nil)
		must(t, err)
		var lines []string
		early := 0
		end, err := c.Follow(t.Context(), "demo", cmd.ID, 0, func(events []client.Event) error {
			now, err := c.Command(t.Context(), "demo", cmd.ID)
			if err == nil && now.State == client.Running {
				early++
			}
			for _, e := range events {
				lines = append(lines, string(e.Data))
			}
			return err
		})
		must(t, err)
		if strings.Join(lines, " ") != "1 2 3 4 5 6 7 8" || end.State != client.Succeeded {
			t.Errorf("%q, %s", lines, end.State)
		}
		if early < 3 {
			t.Errorf("only %d times there was something to read while the command ran", early)
		}
	})
	t.Run("OneReplicaIsEnough", func(t *testing.T) {
		stops["rdev-1"]()
		c := proxied(t, proxy, admin)
		for range 4 {
			_, err := c.Projects(t.Context())
			must(t, err)
		}
	})
}

// checkDatabase: the database that the replicas are told of is the one that there
// is.
func checkDatabase(t *testing.T, project *types.Project) {
	t.Helper()
	env := func(service, name string) string {
		value := project.Services[service].Environment[name]
		if value == nil {
			t.Fatalf("%s has no %s", service, name)
		}
		return *value
	}
	want := fmt.Sprintf("postgres://%s:%s@postgres:5432/%s?sslmode=disable",
		env("postgres", "POSTGRES_USER"), env("postgres", "POSTGRES_PASSWORD"), env("postgres", "POSTGRES_DB"))
	for _, replica := range []string{"rdev-1", "rdev-2"} {
		if got := env(replica, "RDEV_DATABASE_URL"); got != want {
			t.Errorf("%s is told of %s, and there is %s", replica, got, want)
		}
	}
}

// serveProxy runs nginx with the configuration that compose.yaml gives it, and
// returns its address.
func serveProxy(t *testing.T, project *types.Project, home string, replicas map[string]string) string {
	t.Helper()
	service := project.Services["proxy"]
	if len(service.Configs) != 1 || service.Configs[0].Target != "/etc/nginx/nginx.conf" || !strings.HasPrefix(service.Image, "nginx:") {
		out, _ := json.Marshal(service)
		t.Fatalf("the proxy is not nginx with a configuration: %s", out)
	}
	address := freeAddr(t)
	folders := ""
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		folders += fmt.Sprintf(" %s_temp_path %s;", name, filepath.Join(home, "nginx-"+name))
	}
	text := project.Configs[service.Configs[0].Source].Content
	for from, to := range map[string]string{
		"rdev-1:8080":  replicas["rdev-1"],
		"rdev-2:8080":  replicas["rdev-2"],
		"listen 8080;": "listen " + address + ";",
		"http {":       "http { access_log off;" + folders,
	} {
		if strings.Count(text, from) != 1 {
			t.Fatalf("the configuration of the proxy does not have %q once:\n%s", from, text)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	file := filepath.Join(home, "nginx.conf")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	_, _, ended := background(t, home, os.Environ(), program(t, "nginx", "nginx"), "-p", home, "-e", "stderr", "-c", file,
		"-g", "daemon off; error_log stderr; pid "+filepath.Join(home, "nginx.pid")+";")
	answers(t, "http://"+address+"/healthz", ended)
	return address
}

func proxied(t *testing.T, url, key string) *client.Client {
	t.Helper()
	c, err := client.New(url, key, nil)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}
