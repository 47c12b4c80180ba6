"""Names for HTTP requests: which operation of which AWS service a request is.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

_CREDENTIAL_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/(?P<service>[^/]+)/aws4_request")

# Query parameters that turn a request into another operation; the first that is there wins.
_SUBRESOURCES = {
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "uploadId"): "ListParts",
    ("GET", "attributes"): "GetObjectAttributes",
    ("GET", "versions"): "ListObjectVersions",
    ("POST", "delete"): "DeleteObjects",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("PUT", "partNumber"): "UploadPart",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}
_OBJECT = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
}
_BUCKET = {
    "GET": "ListObjects",
    "HEAD": "HeadBucket",
    "PUT": "CreateBucket",
    "DELETE": "DeleteBucket",
}


def service(headers: Mapping[str, str]) -> str:
    """The service that a request was signed for (SigV4); ``s3`` where it is not signed.

    ``headers`` has lower-case names.
    """
    scope = _CREDENTIAL_SCOPE.search(headers.get("authorization", ""))
    return scope["service"] if scope else "s3"


def operation(method: str, target: str, headers: Mapping[str, str]) -> str:
    """``<service>:<Operation>`` of one request with path-style addressing.

    ``target`` is the request target as it stands in the request line, ``headers`` has
    lower-case names.  What is not known is named by its method, so that nothing goes uncounted.
    """
    name = service(headers)
    if name != "s3":
        action = headers.get("x-amz-target", method).rpartition(".")[2]
        return f"{name}:{action}"
    url = urlsplit(target)
    parameters = {key for key, _ in parse_qsl(url.query, keep_blank_values=True)}
    copies = method == "PUT" and "x-amz-copy-source" in headers
    for (of_method, parameter), known in _SUBRESOURCES.items():
        if method == of_method and parameter in parameters:
            return f"s3:{known}Copy" if copies else f"s3:{known}"
    _, _, key = url.path.lstrip("/").partition("/")
    if copies:
        return "s3:CopyObject"
    return f"s3:{(_OBJECT if key else _BUCKET).get(method, method)}"
