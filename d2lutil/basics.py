"""Linear regression and its optimiser, from the chapter on the basics."""

from collections.abc import Iterable

from mxnet import nd


def linreg(X: nd.NDArray, w: nd.NDArray, b: nd.NDArray) -> nd.NDArray:
    """Return the outputs of a linear model.

    Mirrors `gluonbook.linreg`.

    Args:
        X: Features (batch, num_inputs).
        w: Weights (num_inputs, num_outputs).
        b: Bias (num_outputs,).

    Returns:
        Array (batch, num_outputs).

    Example:
        >>> linreg(nd.ones((4, 2)), nd.ones((2, 1)), nd.zeros(1)).shape
        (4, 1)
    """
    return nd.dot(X, w) + b


def squared_loss(y_hat: nd.NDArray, y: nd.NDArray) -> nd.NDArray:
    """Return half the squared difference, element by element.

    Mirrors `gluonbook.squared_loss`.

    Args:
        y_hat: Outputs, of any shape.
        y: Labels, as many in any shape.

    Returns:
        Array of the shape of `y_hat`.

    Example:
        >>> squared_loss(nd.array([[3], [1]]), nd.array([1, 1])).shape
        (2, 1)
    """
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params: Iterable[nd.NDArray], lr: float, batch_size: int) -> None:
    """Update parameters by a step of stochastic gradient descent.

    Mirrors `gluonbook.sgd`.

    Args:
        params: Parameters, with gradients attached; they are changed.
        lr: Learning rate.
        batch_size: Number of examples whose losses were summed up.

    Example:
        >>> w = nd.ones(2)
        >>> w.attach_grad()
        >>> w.grad[:] = 4
        >>> sgd([w], lr=0.5, batch_size=2)
        >>> w.asnumpy()
        array([0., 0.], dtype=float32)
    """
    for param in params:
        param[:] = param - lr * param.grad / batch_size
