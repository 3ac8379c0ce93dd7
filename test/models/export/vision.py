"""Convolutional networks of torchvision and timm, a U-Net and a super-resolution network, all narrow and shallow."""
import importlib

import exporting
import numpy as np
import timm
import torch
import torchvision
from torch import nn
from torchvision.models.efficientnet import FusedMBConvConfig, MBConvConfig
from torchvision.models.mobilenetv3 import InvertedResidualConfig
from torchvision.models.regnet import BlockParams

IMAGE_AXES = {0: "batch", 2: "height", 3: "width"}


def calibrated(module, sizes=(4, 64, 96)):
    """Random affine parameters for all norms; then batch norms take the statistics of random images, as after training."""
    generator = torch.Generator().manual_seed(1)

    def uniform(tensor, low, high):
        return low + (high - low) * torch.rand(tensor.shape, generator=generator)

    batch, height, width = sizes
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)):
                part.weight.copy_(uniform(part.weight, 0.5, 1.5))
                part.bias.copy_(uniform(part.bias, -0.3, 0.3))
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None  # the mean over all batches
                part.reset_running_stats()
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        module.train()
        for _ in range(2):
            module(torch.randn(batch, 3, height, width, generator=generator))
    return module.eval()


class Outputs(nn.Module):
    """A tuple of outputs, whatever the network returns."""

    def __init__(self, network, *names):
        super().__init__()
        self.network, self.names = network, names

    def forward(self, image):
        result = self.network(image)
        return tuple(result[name] for name in self.names) if self.names else (result,)


def make_convnext():
    network = timm.models.convnext.ConvNeXt(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32), num_classes=10, ls_init_value=0.5)
    return Outputs(calibrated(network)).eval()


def make_efficientnet():
    blocks = [FusedMBConvConfig(1, 3, 1, 8, 8, 1), FusedMBConvConfig(4, 3, 2, 8, 16, 1), MBConvConfig(4, 3, 2, 16, 16, 2),
              MBConvConfig(6, 5, 2, 16, 24, 2)]
    network = torchvision.models.EfficientNet(blocks, dropout=0.2, last_channel=64, num_classes=10, stochastic_depth_prob=0.0)
    return Outputs(calibrated(network)).eval()


def make_mobilenet():
    def block(inputs, kernel, expanded, outputs, squeeze, activation, stride):
        return InvertedResidualConfig(inputs, kernel, expanded, outputs, squeeze, activation, stride, 1, 1.0)
    blocks = [block(16, 3, 16, 16, True, "RE", 2), block(16, 3, 40, 24, False, "RE", 2), block(24, 3, 48, 24, False, "RE", 1),
              block(24, 5, 64, 32, True, "HS", 2), block(32, 5, 96, 32, True, "HS", 1)]
    network = torchvision.models.MobileNetV3(blocks, last_channel=48, num_classes=10)
    return Outputs(calibrated(network)).eval()


def make_shufflenet():
    return Outputs(calibrated(torchvision.models.ShuffleNetV2([2, 2, 1], [8, 16, 24, 32, 48], num_classes=10))).eval()


def make_densenet():
    network = torchvision.models.DenseNet(growth_rate=8, block_config=(2, 3, 2), num_init_features=16, num_classes=10)
    return Outputs(calibrated(network)).eval()


def make_regnet():
    parameters = BlockParams.from_init_params(depth=6, w_0=16, w_a=16.0, w_m=2.0, group_width=8, se_ratio=0.25)
    return Outputs(calibrated(torchvision.models.RegNet(parameters, num_classes=10, stem_width=16))).eval()


def make_inception():
    """Branches of unlike kernels that are concatenated; pooling windows that reach past the image (ceil_mode)."""
    googlenet = importlib.import_module("torchvision.models.googlenet")  # a function hides the module
    return Outputs(calibrated(nn.Sequential(
        googlenet.BasicConv2d(3, 16, kernel_size=7, stride=2, padding=3), nn.MaxPool2d(3, stride=2, ceil_mode=True),
        googlenet.Inception(16, 8, 8, 16, 4, 8, 8), nn.MaxPool2d(3, stride=2, ceil_mode=True),
        googlenet.Inception(40, 16, 8, 24, 4, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(56, 10)))).eval()


def make_deeplab():
    """Atrous pyramid pooling on a few convolutions; the mask is resized to the image."""
    segmentation = torchvision.models.segmentation
    backbone = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(),
                             nn.Conv2d(16, 24, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(24), nn.Hardswish())
    backbone = torchvision.models._utils.IntermediateLayerGetter(backbone, {"5": "out"})
    head = nn.Sequential(segmentation.deeplabv3.ASPP(24, [2, 4, 6], out_channels=16), nn.Conv2d(16, 5, 1))
    return Outputs(calibrated(segmentation.DeepLabV3(backbone, head)), "out").eval()


class DoubleConv(nn.Sequential):
    def __init__(self, inputs, outputs):
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
                         nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """Ronneberger et al. 2015 with both usual ways up: a transposed convolution, and bilinear resizing to the skip's size."""

    def __init__(self, width):
        super().__init__()
        self.down1, self.down2 = DoubleConv(3, width), DoubleConv(width, 2 * width)
        self.bottom = DoubleConv(2 * width, 4 * width)
        self.transposed = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.up2, self.narrow = DoubleConv(4 * width, 2 * width), nn.Conv2d(2 * width, width, 1)
        self.up1, self.head = DoubleConv(2 * width, width), nn.Conv2d(width, 3, 1)

    def forward(self, image):
        skip1 = self.down1(image)
        skip2 = self.down2(nn.functional.max_pool2d(skip1, 2))
        bottom = self.bottom(nn.functional.max_pool2d(skip2, 2))
        up2 = self.up2(torch.cat([skip2, self.transposed(bottom)], 1))
        resized = nn.functional.interpolate(self.narrow(up2), size=skip1.shape[2:], mode="bilinear", align_corners=False)
        return self.head(self.up1(torch.cat([skip1, resized], 1)))


def make_unet():
    return Outputs(calibrated(UNet(8))).eval()


class SuperResolution(nn.Module):
    """Sub-pixel convolution (Shi et al. 2016) on top of a bicubic enlargement."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 5, padding=2), nn.PReLU(16), nn.Conv2d(16, 12, 3, padding=1))
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, image):
        coarse = nn.functional.interpolate(image, scale_factor=2, mode="bicubic", align_corners=False)
        return coarse + self.shuffle(self.body(image))


def make_super_resolution():
    return Outputs(SuperResolution()).eval()


def image_feeds(rng, batch, height, width):
    return {"image": rng.standard_normal((batch, 3, height, width), np.float32)}


def classifier(name, make, sizes=((1, 64, 64), (2, 96, 64), (3, 65, 79)), **options):
    return exporting.Small(name, make, image_feeds, inputs={"image": IMAGE_AXES}, outputs={"logits": {0: "batch"}},
                           sizes=list(sizes), traced=(2, 64, 96), **options)


def dense(name, make, output, sizes, **options):
    """A network whose output has the size of its image."""
    return exporting.Small(name, make, image_feeds, inputs={"image": IMAGE_AXES}, outputs={output: IMAGE_AXES}, sizes=sizes,
                           traced=(2, 32, 48), **options)


# RegNet looks alike from both exporters; the new one cannot reason about ceil_mode, which Inception's pools have.
LEGACY = {"legacy": exporting.legacy()}
MODELS = [
    classifier("convnext-small", make_convnext), classifier("efficientnet-small", make_efficientnet),
    classifier("mobilenetv3-small", make_mobilenet), classifier("shufflenet-small", make_shufflenet),
    classifier("densenet-small", make_densenet), classifier("regnet-small", make_regnet, exporters=LEGACY),
    classifier("inception-small", make_inception, exporters=LEGACY),
    dense("unet-small", make_unet, "mask", [(1, 16, 16), (2, 32, 24), (1, 40, 72)]),
    dense("deeplab-small", make_deeplab, "mask", [(1, 16, 16), (2, 33, 24), (1, 41, 72)]),
    dense("super-resolution-small", make_super_resolution, "enlarged", [(1, 8, 8), (2, 11, 7), (1, 20, 33)]),
]
