"""A plugin for checkups under test: what a pod finds at a fixed path is looked for where the test has put it."""

import os
from pathlib import Path

from kubernetes.config import incluster_config

from pytest_kvlatency.kube import kubeconfig

kubeconfig.SERVICE_ACCOUNT = Path(os.environ["TEST_SERVICE_ACCOUNT"])
incluster_config.SERVICE_TOKEN_FILENAME = str(kubeconfig.SERVICE_ACCOUNT / "token")
incluster_config.SERVICE_CERT_FILENAME = str(kubeconfig.SERVICE_ACCOUNT / "ca.crt")
