"""How many processes draw where nobody says."""

from __future__ import annotations

import psutil
import pytest

from limner.errors import UsageError
from limner.generation.generator import load
from limner.serving import capacity
from limner.serving.capacity import available_memory, check_memory, workers_for
from limner.serving.models import Models
from limner.serving.settings import ServerSettings
from limner.threads import physical_cores, usable_cpus


def test_free_memory_is_what_the_system_says():
    before, found = psutil.virtual_memory().available, available_memory()
    system = max(before, psutil.virtual_memory().available)  # others use it meanwhile
    assert found is not None
    assert found == pytest.approx(system, rel=0.2) or found < system  # a container may have less


def test_there_are_no_more_cores_than_cpus():
    assert 1 <= physical_cores() <= usable_cpus()
    assert physical_cores() <= (psutil.cpu_count(logical=False) or usable_cpus())


def test_a_process_for_each_core_while_there_is_memory(flow_path, monkeypatch):
    monkeypatch.setattr(capacity, "available_memory", lambda: 64 << 30)  # whatever others use
    models = Models.read([flow_path])
    bytes_of_one = models.default.version.bytes
    most = min(8, physical_cores())
    assert workers_for(models, ServerSettings()) == most
    assert workers_for(models, ServerSettings(threads=physical_cores())) == 1
    assert workers_for(models, ServerSettings(memory=1.5 * bytes_of_one)) == 1
    assert workers_for(models, ServerSettings(memory=100 * bytes_of_one)) == most
    assert workers_for(models, ServerSettings(workers=3, memory=1)) == 3


def test_one_alone_on_a_gpu_and_with_a_model_in_memory(flow_path):
    models = Models.read([flow_path])
    assert workers_for(models, ServerSettings(device="cuda")) == 1
    assert workers_for(Models.of(load(flow_path)), ServerSettings()) == 1


def test_a_model_that_does_not_fit_is_refused(flow_path):
    models = Models.read([flow_path])
    size = models.default.version.bytes
    check_memory(models, ServerSettings())
    check_memory(models, ServerSettings(memory=size))
    check_memory(models, ServerSettings(memory=2 * size, workers=2))
    with pytest.raises(UsageError, match=r"--memory 0.01 is too little: .* takes 0\.\d\d GB; give"):
        check_memory(models, ServerSettings(memory=1e7))
    with pytest.raises(UsageError, match=r"in each of 2 workers; give .* or fewer --workers"):
        check_memory(models, ServerSettings(memory=size, workers=2))
