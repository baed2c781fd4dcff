"""A Kubernetes cluster without containers: real control plane, pods as local processes in network namespaces."""

from __future__ import annotations

from testcluster.api import Api, ApiError
from testcluster.audit import AuditEvent, AuditLog
from testcluster.cluster import Cluster
from testcluster.failure import Failure
from testcluster.layout import Layout

__all__ = ["Api", "ApiError", "AuditEvent", "AuditLog", "Cluster", "Failure", "Layout"]
