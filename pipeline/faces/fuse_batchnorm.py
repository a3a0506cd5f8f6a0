"""Normalisations of a trained convolutional network are taken into its convolutions."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def without_batch_norm(network: nn.Module) -> nn.Module:
    """The network with every normalisation that directly follows a convolution taken into its weights.

    Changes the network given; it must be in evaluation mode. The output is the same up to rounding.
    """
    previous, previous_name = None, ""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
            setattr(network, previous_name, fuse_conv_bn_eval(previous, child))
            setattr(network, name, nn.Identity())
        without_batch_norm(child)
        previous, previous_name = child, name
    return network
