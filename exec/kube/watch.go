package kube

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// The indexes of the pods.
const (
	byLabel = "label"
	byUID   = "uid"
)

// A watcher holds the pods of all projects and the settings in memory, as the
// API server tells of them.
type watcher struct {
	ctx       context.Context // as long as it watches
	client    typedcorev1.CoreV1Interface
	namespace string
	pods      cache.SharedIndexInformer
	strays    strays
	settings  settings
	work      sync.WaitGroup

	// What the first lists were given to, and the first reasons why the pods
	// and the settings could not be watched.
	podsSynced, settingsSynced   cache.InformerSynced
	podsRefused, settingsRefused chan error

	mu      sync.Mutex
	changed chan struct{} // closed at each change
}

// newWatcher starts to watch, until ctx ends. The first list of pods may still
// be on its way: see sync.
func newWatcher(ctx context.Context, client typedcorev1.CoreV1Interface, options Options) (*watcher, error) {
	// What reflectors would log, OnError is told.
	ctx = klog.NewContext(ctx, klog.Logger{})
	w := &watcher{
		ctx: ctx, client: client, namespace: options.Namespace,
		podsRefused: make(chan error, 1), settingsRefused: make(chan error, 1),
		changed: make(chan struct{}),
	}
	pods := client.Pods(options.Namespace)
	w.pods = cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = projectSelector
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = projectSelector
			return pods.Watch(ctx, o)
		},
	}, &corev1.Pod{}, 0, cache.Indexers{byLabel: indexLabel, byUID: indexUID})
	maps := client.ConfigMaps(options.Namespace)
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, SettingsName).String()
	config := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			list, err := maps.List(ctx, o)
			w.settings.readable(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			events, err := maps.Watch(ctx, o)
			w.settings.readable(err)
			return events, err
		},
	}, &corev1.ConfigMap{}, 0, cache.Indexers{})

	podsTold, podsErr := w.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { w.announce() },
		UpdateFunc: func(any, any) { w.announce() },
		DeleteFunc: func(was any) {
			w.strays.left(was)
			w.announce()
		},
	})
	configTold, configErr := config.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    w.take,
		UpdateFunc: func(_, now any) { w.take(now) },
		DeleteFunc: func(any) { w.take((*corev1.ConfigMap)(nil)) },
	})
	err := errors.Join(podsErr, configErr,
		w.pods.SetTransform(stripPod),
		w.pods.SetWatchErrorHandlerWithContext(failed("watch pods", w.podsRefused, options.OnError)),
		config.SetWatchErrorHandlerWithContext(failed("watch "+SettingsName, w.settingsRefused, options.OnError)))
	if err != nil {
		return nil, err
	}
	w.podsSynced, w.settingsSynced = podsTold.HasSynced, configTold.HasSynced
	w.work.Go(func() { w.pods.RunWithContext(ctx) })
	w.work.Go(func() { config.RunWithContext(ctx) })
	return w, nil
}

// failed returns a handler that remembers the first error.
func failed(what string, first chan<- error, tell func(error)) cache.WatchErrorHandlerWithContext {
	return func(_ context.Context, _ *cache.Reflector, err error) {
		err = fmt.Errorf("exec/kube: %s: %w", what, err)
		select {
		case first <- err:
		default:
		}
		tell(err)
	}
}

// sync waits for the first list of pods, and for the settings, or the API
// server's word that they are not to be read. Without the settings, projects
// would have another policy and commands run in another container for a moment.
func (w *watcher) sync(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	settled := func() bool { return w.settingsSynced() || w.settings.areRefused() }
	if cache.WaitForCacheSync(ctx.Done(), w.podsSynced, settled) {
		return nil
	}
	err, reasons := fmt.Errorf("there is no list of pods after %v", limit), w.podsRefused
	if w.podsSynced() {
		err, reasons = fmt.Errorf("the ConfigMap %s could not be read within %v, and what runs where and under which policy stands there: "+
			"see that the API server answers, and start again; where rdev is to do without, do not grant it that ConfigMap", SettingsName, limit), w.settingsRefused
	}
	select {
	case reason := <-reasons:
		return fmt.Errorf("%w: %w", err, reason)
	default:
		return err
	}
}

func (w *watcher) take(object any) {
	m, _ := object.(*corev1.ConfigMap)
	w.settings.set(m)
	w.announce()
}

func (w *watcher) announce() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
}

// next returns a channel that is closed at the next change. Whoever takes it
// before looking misses nothing.
func (w *watcher) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// byName returns the pods of a project.
func (w *watcher) byName(project string) []*corev1.Pod {
	all, _ := w.settings.get()
	var pods []*corev1.Pod
	for _, label := range all.labelsOf(project) {
		pods = append(pods, w.index(byLabel, label)...)
	}
	return pods
}

// byUID returns the pod with that UID, or nil.
func (w *watcher) byUID(uid types.UID) *corev1.Pod {
	if pods := w.index(byUID, string(uid)); len(pods) > 0 {
		return pods[0]
	}
	return nil
}

func (w *watcher) index(index, value string) []*corev1.Pod {
	objects, _ := w.pods.GetIndexer().ByIndex(index, value) // fails for unknown indexes alone
	pods := make([]*corev1.Pod, 0, len(objects))
	for _, o := range objects {
		pods = append(pods, o.(*corev1.Pod))
	}
	return pods
}

// labels returns the names that pods have by their labels.
func (w *watcher) labels() []string { return w.pods.GetIndexer().ListIndexFuncValues(byLabel) }

func indexLabel(object any) ([]string, error) {
	if name := object.(*corev1.Pod).Labels[NameLabel]; name != "" {
		return []string{name}, nil
	}
	return nil, nil
}

func indexUID(object any) ([]string, error) {
	return []string{string(object.(*corev1.Pod).UID)}, nil
}
