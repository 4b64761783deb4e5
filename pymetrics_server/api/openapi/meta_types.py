"""The types of Kubernetes' own API that ours are made of, or that discovery and /version answer with."""

from typing import Any

from pymetrics_server.api.openapi.shapes import (
    ATOMIC,
    META,
    QUANTITY,
    VERSION_INFO,
    Schema,
    array,
    boolean,
    integer,
    kind,
    mapping,
    reference,
    structure,
    text,
    texts,
)

_BY_UID: dict[str, Any] = {
    "x-kubernetes-list-map-keys": ["uid"],
    "x-kubernetes-list-type": "map",
    "x-kubernetes-patch-merge-key": "uid",
    "x-kubernetes-patch-strategy": "merge",
}
_MERGED_SET = {"x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"}
_TEXT: Schema = {"type": "string"}


def meta_types() -> dict[str, Schema]:
    """By the name of the definition."""
    return {
        QUANTITY: text(
            "Quantity is a number with an optional suffix: `n`, `u` and `m` for billionths, millionths and "
            "thousandths, `k`, `M`, `G`, `T`, `P` and `E` for powers of 1000, `Ki`, `Mi`, `Gi`, `Ti`, `Pi` and "
            "`Ei` for powers of 1024, or a decimal exponent. Examples: `123457230n`, `250m`, `1578392Ki`."
        ),
        VERSION_INFO: _version_info(),
        **{f"{META}.{name}": schema for name, schema in (_discovery() | _object_metadata()).items()},
    }


def _discovery() -> dict[str, Schema]:
    version_reference = f"{META}.GroupVersionForDiscovery"
    return {
        "APIGroup": kind(
            "",
            "v1",
            "APIGroup",
            "APIGroup says in which versions a group of the API is served.",
            {
                "name": text("The name of the group."),
                "versions": array({"$ref": version_reference}, "The versions that are served.", ATOMIC),
                "preferredVersion": reference(
                    version_reference, "The version to take by those who know several of them."
                ),
                "serverAddressByClientCIDRs": array(
                    {"$ref": f"{META}.ServerAddressByClientCIDR"},
                    "Under which address the server is reached, by the network that the client is in.",
                    ATOMIC,
                ),
            },
            ["name", "versions"],
        ),
        "APIGroupList": kind(
            "",
            "v1",
            "APIGroupList",
            "APIGroupList is every group that the server has.",
            {"groups": array({"$ref": f"{META}.APIGroup"}, "The groups.", ATOMIC)},
            ["groups"],
        ),
        "APIResource": structure(
            "APIResource says how a resource is called and what can be done with it.",
            {
                "name": text("The name in paths, in the plural."),
                "singularName": text("The name of a single one; where it is empty, clients derive it."),
                "namespaced": boolean("Whether each object of it is in a namespace."),
                "kind": text("The kind of its objects."),
                "verbs": texts("What can be asked for, such as get and list."),
                "group": text("The group of the kind, where it is not that of the list."),
                "version": text("The version of the kind, where it is not that of the list."),
                "shortNames": texts("Abbreviations of the name for the command line.", ATOMIC),
                "categories": texts("Groups of resources that it is listed with, such as `all`.", ATOMIC),
                "storageVersionHash": text(
                    "A hash of the version in which objects are stored. Not set here."
                ),
            },
            ["name", "singularName", "namespaced", "kind", "verbs"],
        ),
        "APIResourceList": kind(
            "",
            "v1",
            "APIResourceList",
            "APIResourceList is every resource of one version of a group.",
            {
                "groupVersion": text("The group and the version, separated by a slash."),
                "resources": array({"$ref": f"{META}.APIResource"}, "The resources.", ATOMIC),
            },
            ["groupVersion", "resources"],
        ),
        "GroupVersionForDiscovery": structure(
            "GroupVersionForDiscovery is one version of a group, spelled both ways that clients need.",
            {
                "groupVersion": text("The group and the version, separated by a slash."),
                "version": text("The version alone."),
            },
            ["groupVersion", "version"],
        ),
        "ServerAddressByClientCIDR": structure(
            "ServerAddressByClientCIDR is the address of the server for the clients of one network.",
            {
                "clientCIDR": text("The network of the clients, in CIDR notation."),
                "serverAddress": text("A host name, or an IP address, and a port."),
            },
            ["clientCIDR", "serverAddress"],
        ),
    }


def _object_metadata() -> dict[str, Schema]:
    owner = structure(
        "OwnerReference names an object in the same namespace, or in none, that this object belongs to.",
        {
            "apiVersion": text("The group and the version of the owner."),
            "kind": text("The kind of the owner."),
            "name": text("The name of the owner."),
            "uid": text("The UID of the owner."),
            "controller": boolean("Whether the owner is the one controller of the object."),
            "blockOwnerDeletion": boolean(
                "Whether a foreground deletion of the owner waits until this reference is gone."
            ),
        },
        ["apiVersion", "kind", "name", "uid"],
    )
    owner["x-kubernetes-map-type"] = "atomic"
    time = text("Time is a moment in RFC 3339, such as `2026-11-23T06:43:10Z`.")
    time["format"] = "date-time"
    return {
        "Duration": text("Duration is a length of time as Go writes it, such as `15.004s` or `1m30s`."),
        "FieldsV1": {
            "description": "FieldsV1 is a set of fields as a tree: each key is a field or an element of a list.",
            "type": "object",
        },
        "ListMeta": structure(
            "ListMeta is the metadata of a list.",
            {
                "continue": text("Where to go on in a list that was cut into pages. Not set here."),
                "remainingItemCount": integer("How many items are left after this page. Not set here."),
                "resourceVersion": text("The state of the cluster that the list shows. Not set here."),
                "selfLink": text("No longer in use."),
            },
        ),
        "ManagedFieldsEntry": structure(
            "ManagedFieldsEntry says which fields one manager of an object has set.",
            {
                "apiVersion": text("The version of the object that the fields are spelled in."),
                "fieldsType": text("The format of the fields; there is `FieldsV1` alone."),
                "fieldsV1": reference(f"{META}.FieldsV1", "The fields."),
                "manager": text("The name of who set them."),
                "operation": text("How they were set: `Apply` or `Update`."),
                "subresource": text(
                    "The subresource through which they were set, empty for the object itself."
                ),
                "time": reference(f"{META}.Time", "When they were last set."),
            },
        ),
        "ObjectMeta": structure(
            "ObjectMeta is the metadata that every object of Kubernetes has. Metrics carry a name, a namespace, "
            "labels and a creationTimestamp.",
            {
                "name": text("The name, unique in its namespace among objects of the kind."),
                "generateName": text("The beginning of a name that the server is to complete."),
                "namespace": text("The namespace; empty for what is in none, such as nodes."),
                "selfLink": text("No longer in use."),
                "uid": text(
                    "What tells the object from all others, even those of its name before or after it."
                ),
                "resourceVersion": text("Changes whenever the stored object does. Metrics are not stored."),
                "generation": integer("Counts the changes of what is wanted of the object."),
                "creationTimestamp": reference(f"{META}.Time", "When the object was made, by the server."),
                "deletionTimestamp": reference(f"{META}.Time", "From when on the object may be gone."),
                "deletionGracePeriodSeconds": integer("How long the object has to end before it is removed."),
                "labels": mapping(_TEXT, "Keys and values that selectors choose objects by."),
                "annotations": mapping(_TEXT, "Keys and values that tools keep with the object."),
                "ownerReferences": array(
                    {"$ref": f"{META}.OwnerReference"}, "Whom the object belongs to.", _BY_UID
                ),
                "finalizers": texts("Who has to agree before the object is removed.", _MERGED_SET),
                "managedFields": array(
                    {"$ref": f"{META}.ManagedFieldsEntry"}, "Who has set which fields.", ATOMIC
                ),
            },
        ),
        "OwnerReference": owner,
        "Time": time,
    }


def _version_info() -> Schema:
    return structure(
        "Info is the version of the server, and of what it was built with.",
        {
            "major": text("The major version of Kubernetes whose API is followed."),
            "minor": text("The minor version of Kubernetes whose API is followed."),
            "emulationMajor": text("The major version that the server behaves as."),
            "emulationMinor": text("The minor version that the server behaves as."),
            "minCompatibilityMajor": text("The major version of the oldest release it works with."),
            "minCompatibilityMinor": text("The minor version of the oldest release it works with."),
            "gitVersion": text("The version of this server."),
            "gitCommit": text("The commit that it was built from."),
            "gitTreeState": text("Whether that commit was changed: `clean` or `dirty`."),
            "buildDate": text("When it was built."),
            "goVersion": text("The language that it is written in, and its version."),
            "compiler": text("What compiles or interprets it."),
            "platform": text("The operating system and the architecture it runs on."),
        },
        [
            "major",
            "minor",
            "gitVersion",
            "gitCommit",
            "gitTreeState",
            "buildDate",
            "goVersion",
            "compiler",
            "platform",
        ],
    )
