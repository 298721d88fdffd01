package kube

// What a pod says about its project. The ones that are free text are
// annotations, because the value of a label cannot hold spaces.
const (
	prefix = "rdev.orchard9.ai/"

	// ProjectLabel with the value "true" makes a pod belong to a project.
	ProjectLabel = prefix + "project"
	// NameLabel is the name of the project.
	NameLabel = prefix + "name"
	// DescriptionAnnotation describes it. A label of the same key is read where
	// there is no annotation.
	DescriptionAnnotation = prefix + "description"
	// ContainerAnnotation names the container that commands run in. Without it
	// kubectl's annotation kubectl.kubernetes.io/default-container counts, and
	// then the first container.
	ContainerAnnotation = prefix + "container"
	// WorkspaceAnnotation is the folder that commands run in and cannot leave
	// with their Dir. Without it that is the working folder of the container.
	WorkspaceAnnotation = prefix + "workspace"
	// ShimAnnotation is the absolute path of the program rdev-shim in the
	// container, where its image or a volume has it. Its folder must be writable
	// for the container's user, and on an emptyDir better than on the root: the
	// output of commands is kept there. It is for containers without a shell;
	// environment and working folder are the container's there, too.
	ShimAnnotation = prefix + "shim"

	defaultContainerAnnotation = "kubectl.kubernetes.io/default-container"
	podIndexLabel              = "apps.kubernetes.io/pod-index"

	projectSelector = ProjectLabel + "=true"
)
