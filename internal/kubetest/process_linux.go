package kubetest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// processStat returns the parent and the start time (in ticks since boot) of a
// process. Id and start time together name a process for good.
func processStat(pid int) (parent int, start uint64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The second field is the name, which may contain spaces and parentheses.
	_, after, ok := cutLast(string(b), ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 20 {
		return 0, 0, fmt.Errorf("/proc/%d/stat: unexpected %q", pid, b)
	}
	if parent, err = strconv.Atoi(fields[1]); err != nil {
		return 0, 0, err
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return parent, start, err
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// descendants returns root and all processes below it, parents first. Nothing
// leaves a pid namespace, so for a node these are all processes of its cluster.
func descendants(root int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, _, err := processStat(pid); err == nil { // else it just ended
			children[parent] = append(children[parent], pid)
		}
	}
	all := []int{root}
	for n := 0; n < len(all); n++ {
		slices.Sort(children[all[n]])
		all = append(all, children[all[n]]...)
	}
	return all, nil
}

// innerPID is the id that a process has in the innermost pid namespace it is in.
func innerPID(pid int) (inner, depth int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(ids)
			inner, err = strconv.Atoi(fields[len(fields)-1])
			return inner, len(fields), err
		}
	}
	return 0, 0, fmt.Errorf("/proc/%d/status has no NSpid", pid)
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
