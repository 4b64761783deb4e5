"""What this build is called: the one place the version is written."""

VERSION = "0.1.0"
GIT_VERSION = f"v{VERSION}"
#: The release of Kubernetes whose wire behaviour is followed; /version says it as major and minor.
KUBERNETES_MAJOR, KUBERNETES_MINOR = "1", "36"
