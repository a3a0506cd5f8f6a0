"""Batch normalisation merged into the convolutions of a trained network."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def without_batch_norm(network: nn.Module) -> nn.Module:
    """Merge every batch normalisation that directly follows a convolution into its weights.

    The output stays the same up to rounding.

    Args:
        network: A network in evaluation mode. It is changed, and returned.
    """
    previous, previous_name = None, ""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            setattr(network, previous_name, fuse_conv_bn_eval(previous, child))
            setattr(network, name, nn.Identity())
        without_batch_norm(child)
        previous, previous_name = child, name
    return network
