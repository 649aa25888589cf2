"""The judges of classes against scikit-learn at the same settings, and closed forms."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from limner.improve.class_chances import Kernel, Logistic, colour_fields

COUNT, CLASSES = 60, 3


@pytest.fixture
def known() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Descriptions of known pictures with unequal scales, their classes, and other descriptions."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, COUNT)
    middles = rng.normal(size=(CLASSES, 5))
    scale = np.array([1, 10, 0.1, 3, 50])
    rows = (middles[labels] + rng.normal(size=(COUNT, 5))) * scale + 7
    others = (middles[rng.integers(0, CLASSES, 20)] + rng.normal(size=(20, 5))) * scale + 7
    return rows.astype(np.float32), labels, others.astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    high = np.exp(logits - logits.max(1, keepdims=True))
    return high / high.sum(1, keepdims=True)


def test_logistic_regression_is_that_of_scikit_learn(known):
    """Its C is the inverse of the penalty on the sum of the losses: 1 / (N decay)."""
    rows, labels, others = known
    scaler = StandardScaler().fit(rows)
    truth = LogisticRegression(C=1 / (COUNT * 0.1), tol=1e-8, max_iter=1000)
    truth.fit(scaler.transform(rows), labels)
    found = Logistic(rows, labels, CLASSES).chances(others)
    np.testing.assert_allclose(found, truth.predict_proba(scaler.transform(others)), atol=2e-3)


def test_kernel_regression_is_that_of_scikit_learn(known):
    rows, labels, others = known
    scaler = StandardScaler().fit(rows)
    scaled, asked = (scaler.transform(each) / np.sqrt(5) for each in (rows, others))
    apart = np.square(scaled[:, None] - scaled[None]).sum(2)
    truth = KernelRidge(alpha=0.1, kernel="rbf", gamma=1 / np.median(apart))
    answers = np.eye(CLASSES)[labels]
    truth.fit(scaled, answers - answers.mean(0))
    found = Kernel(rows, labels, CLASSES).chances(others)
    np.testing.assert_allclose(found, softmax(5 * truth.predict(asked)), atol=1e-4)


def test_a_number_that_never_varies_says_nothing(known):
    rows, labels, others = known
    constant = [np.concatenate([each, np.full_like(each[:, :1], 4)], 1) for each in (rows, others)]
    found = Logistic(constant[0], labels, CLASSES).chances(constant[1])
    np.testing.assert_allclose(found, Logistic(rows, labels, CLASSES).chances(others), atol=2e-3)


def test_colour_fields_are_means_of_blocks():
    thumbs = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    found = colour_fields(thumbs).reshape(3, 8, 8, 3)
    np.testing.assert_allclose(found[1, 2, 5], thumbs[1, 8:12, 20:24].mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(found.mean((1, 2)), thumbs.mean((1, 2)), rtol=1e-5)
