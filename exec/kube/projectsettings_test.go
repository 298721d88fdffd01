package kube

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/orchard9/rdev/exec"
	"github.com/orchard9/rdev/exec/policy"
	"github.com/orchard9/rdev/rdev"
)

func parse(text string) (projectSettings, error) {
	return parseSettings(map[string]string{SettingsKey: text})
}

func TestParseSettings(t *testing.T) {
	t.Run("EverythingIsTaken", func(t *testing.T) {
		is := is.New(t)
		all, err := parse(`
Web_Prod:
  name: web
  description: The web shop
  container: claudebox
  workspace: /workspace
  policy: strict
  limits:
    commands: 4
    commands_per_key: -1
    timeout: 30m
    output: 64Mi
api:
later: {}
`)
		is.NoErr(err)
		web, ok := all.of("web")
		is.True(ok)
		is.Equal(web.Description, "The web shop")
		is.Equal(web.Container, "claudebox")
		is.Equal(web.Workspace, "/workspace")
		is.Equal(web.Policy, policy.Strict)
		is.Equal(web.Limits.limits(), rdev.Limits{Commands: 4, CommandsPerKey: -1, Timeout: 30 * time.Minute, Output: 64 << 20})
		is.Equal(all.nameOf("Web_Prod"), "web")
		is.Equal(all.nameOf("web"), "web")
		is.Equal(all.labelsOf("web"), []string{"web", "Web_Prod"})
		is.Equal(len(all.labelsOf("Web_Prod")), 0) // its pods have another name now
		_, ok = all.of("Web_Prod")
		is.True(!ok)
		_, ok = all.of("api")
		is.True(ok)
		_, ok = all.of("later")
		is.True(ok)
	})
	t.Run("NoneIsNone", func(t *testing.T) {
		is := is.New(t)
		all, err := parse("")
		is.NoErr(err)
		_, ok := all.of("web")
		is.True(!ok)
		is.Equal(all.labelsOf("web"), []string{"web"})
	})
	t.Run("TwoMaySwapTheirNames", func(t *testing.T) {
		is := is.New(t)
		all, err := parse("a: {name: b}\nb: {name: a}")
		is.NoErr(err)
		is.Equal(all.labelsOf("a"), []string{"b"})
		is.Equal(all.labelsOf("b"), []string{"a"})
	})
	for text, want := range map[string]string{
		"web: {descriptoin: x}":             "descriptoin",
		"web: {limits: {comands: 1}}":       "comands",
		"web: {limits: {timeout: 30}}":      "",
		"web: {limits: {timeout: -1m}}":     "web: limits: the timeout -1m0s is negative",
		"web: {limits: {timeout: soon}}":    "invalid duration",
		"web: {limits: {output: much}}":     "quantit",
		"web: {limits: {output: -1}}":       "web: limits: the output -1 is negative",
		"web: {limits: {commands: 1.5}}":    "commands",
		"web: {policy: lax}":                `web: the policy is "lax", want strict, restricted or permissive`,
		"web: {workspace: src}":             `web: the workspace "src" is not absolute`,
		"Web: {description: x}":             `"Web" cannot name a project`,
		"web: {name: Web}":                  `"Web" cannot name a project`,
		"a: {name: web}\nweb: {}":           "web: another entry is the project web already",
		"a: {name: web}\nb: {name: web}":    "b: another entry is the project web already",
		"web: {policy: strict}\nweb: {}":    "web",
		"web: [1]":                          "array",
		"- web":                             "",
		"web: {description: \"unfinished }": "",
	} {
		t.Run("IsRefused/"+text, func(t *testing.T) {
			_, err := parse(text)
			if err == nil || !strings.HasPrefix(err.Error(), SettingsName+": ") || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q in it", text, err, want)
			}
		})
	}
	t.Run("AnotherKeyIsRefused", func(t *testing.T) {
		_, err := parseSettings(map[string]string{"project.yaml": "web: {}"})
		if err == nil || !strings.Contains(err.Error(), "want projects.yaml alone") {
			t.Error(err)
		}
	})
}

// TestTheExampleIsValid: deploy/kubernetes/config.yaml says nothing that is not
// understood.
func TestTheExampleIsValid(t *testing.T) {
	is := is.New(t)
	text, err := os.ReadFile("../../deploy/kubernetes/config.yaml")
	is.NoErr(err)
	var m corev1.ConfigMap
	is.NoErr(yaml.UnmarshalStrict(text, &m))
	is.Equal(m.Name, SettingsName)
	all, err := parseSettings(m.Data)
	is.NoErr(err)
	set, ok := all.of("claude")
	is.True(ok)
	is.Equal(set.Policy, policy.Strict)
	is.Equal(set.Limits.limits(), rdev.Limits{Commands: 4, CommandsPerKey: 2, Timeout: 30 * time.Minute, Output: 64 << 20})
}

// TestTheExamplesVolumeIsLargeEnough: what commands print, within the limits of
// the example's project, does not have the kubelet evict the example's pod.
func TestTheExamplesVolumeIsLargeEnough(t *testing.T) {
	is := is.New(t)
	text, err := os.ReadFile("../../deploy/kubernetes/claudebox.yaml")
	is.NoErr(err)
	var pod corev1.Pod
	is.NoErr(yaml.UnmarshalStrict(text, &pod))
	text, err = os.ReadFile("../../deploy/kubernetes/config.yaml")
	is.NoErr(err)
	var m corev1.ConfigMap
	is.NoErr(yaml.UnmarshalStrict(text, &m))
	all, err := parseSettings(m.Data)
	is.NoErr(err)
	set, _ := all.of("claude")
	limits := set.Limits.limits()
	const shim = 16 << 20
	ended := (*Options)(nil).withDefaults().MaxEndedBytes
	volume := pod.Spec.Volumes[1]
	is.Equal(volume.Name, "rdev")
	size := volume.EmptyDir.SizeLimit.Value()
	is.True(ended+int64(limits.Commands)*limits.Output+shim <= size)
	is.True(ended+5*exec.DefaultMaxOutput+shim <= size) // as the file says
	is.True(ended >= 2*exec.DefaultMaxOutput)           // the last command is kept whatever it printed
}
