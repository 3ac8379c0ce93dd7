"""Detectors: torchvision's own in small configurations, as torchvision exports them, and a YOLO-like network with two kinds of ends.

How many boxes come out depends on the image.
"""
import exporting
import numpy as np
import torch
import torchvision
from torch import nn
from torchvision.models.detection import anchor_utils, faster_rcnn, retinanet, ssd, ssdlite
from vision import IMAGE_AXES, calibrated, image_feeds

CLASSES = 4
BOX_AXES = {0: "detections"}


def block(inputs, outputs, stride):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6())


def body(*widths):
    """One block for each width, each halving the image; "0", "1", ... are their results."""
    blocks = [block(inputs, outputs, 2) for inputs, outputs in zip((3, *widths), widths)]
    return nn.Sequential(*blocks)


class Pyramid(nn.Module):
    """The results of the last two blocks, with a feature pyramid on top of them."""

    def __init__(self, out_channels=16):
        super().__init__()
        self.body, self.out_channels = calibrated(body(8, 16, 24)), out_channels
        self.pyramid = torchvision.ops.FeaturePyramidNetwork([16, 24], out_channels)

    def forward(self, image):
        first = self.body[1](self.body[0](image))
        return self.pyramid({"0": first, "1": self.body[2](first)})


class Levels(nn.Module):
    """The results of the last two blocks."""

    def __init__(self):
        super().__init__()
        self.body = calibrated(body(8, 16, 24))

    def forward(self, image):
        first = self.body[1](self.body[0](image))
        return {"0": first, "1": self.body[2](first)}


class Detector(nn.Module):
    """One image to boxes, scores and labels; torchvision takes and gives lists of images."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        result = self.network([image])[0]
        return result["boxes"], result["scores"], result["labels"]


def decisive(module, factor=3):
    """Scores that are far from each other and from the thresholds, whatever the last bits of a sum are."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                fan_in = part.weight[0].numel()
                part.weight.copy_(torch.randn(part.weight.shape, generator=generator) * (factor / fan_in) ** 0.5)
                if part.bias is not None:
                    part.bias.copy_(0.2 * torch.randn(part.bias.shape, generator=generator))
    return module.eval()


def make_faster_rcnn():
    anchors = anchor_utils.AnchorGenerator(sizes=((12,), (24,)), aspect_ratios=((0.5, 1.0, 2.0),) * 2)
    network = faster_rcnn.FasterRCNN(
        Pyramid(), rpn_anchor_generator=anchors, min_size=64, max_size=96, rpn_pre_nms_top_n_test=60, rpn_post_nms_top_n_test=20,
        box_roi_pool=torchvision.ops.MultiScaleRoIAlign(["0", "1"], output_size=4, sampling_ratio=2),
        box_head=faster_rcnn.TwoMLPHead(16 * 16, 32), box_predictor=faster_rcnn.FastRCNNPredictor(32, CLASSES),
        box_score_thresh=0.4, box_detections_per_img=100)
    decisive(network.rpn)
    decisive(network.roi_heads)
    return Detector(network).eval()


def make_retinanet():
    anchors = anchor_utils.AnchorGenerator(sizes=((12,), (24,)), aspect_ratios=((0.5, 1.0, 2.0),) * 2)
    network = retinanet.RetinaNet(Pyramid(), CLASSES, min_size=64, max_size=96, anchor_generator=anchors, topk_candidates=40,
                        head=retinanet.RetinaNetHead(16, 3, CLASSES), score_thresh=0.75, detections_per_img=100)
    decisive(network.head, factor=2)
    return Detector(network).eval()


def make_ssdlite():
    anchors = anchor_utils.DefaultBoxGenerator([[2], [2]], min_ratio=0.2, max_ratio=0.9)
    head = ssdlite.SSDLiteHead([16, 24], anchors.num_anchors_per_location(), CLASSES, nn.BatchNorm2d)
    network = ssd.SSD(Levels(), anchors, size=(64, 64), num_classes=CLASSES, head=head, score_thresh=0.5, topk_candidates=30,
                  detections_per_img=100)
    decisive(network.head)
    return Detector(network).eval()


class Yolo(nn.Module):
    """Two scales of cells, each with a box around its middle and a score for each class."""

    def __init__(self):
        super().__init__()
        self.stem, self.coarse = calibrated(body(8, 16, 24)), block(24, 32, 2)
        self.heads = nn.ModuleList([nn.Conv2d(24, 4 + CLASSES, 1), nn.Conv2d(32, 4 + CLASSES, 1)])

    def forward(self, image):
        fine = self.stem(image)
        boxes, scores = [], []
        for stride, head, features in zip((8, 16), self.heads, (fine, self.coarse(fine))):
            found = head(features)
            height, width = found.shape[2:]
            y = torch.arange(height, dtype=found.dtype).view(1, height, 1)
            x = torch.arange(width, dtype=found.dtype).view(1, 1, width)
            center_x, center_y = (found[:, 0].sigmoid() * 2 - 0.5 + x) * stride, (found[:, 1].sigmoid() * 2 - 0.5 + y) * stride
            half_width, half_height = (found[:, 2].sigmoid() * 2) ** 2 * stride, (found[:, 3].sigmoid() * 2) ** 2 * stride
            corners = [center_x - half_width, center_y - half_height, center_x + half_width, center_y + half_height]
            boxes.append(torch.stack(corners, -1).flatten(1, 2))
            scores.append(found[:, 4:].sigmoid().flatten(2).transpose(1, 2))
        return torch.cat(boxes, 1), torch.cat(scores, 1)


class BestBoxes(nn.Module):
    """The ten best scores of each image: a result of known size."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        boxes, scores = self.network(image)
        best, place = scores.flatten(1).topk(10, dim=1)
        index = torch.div(place, CLASSES, rounding_mode="floor").unsqueeze(2).expand(-1, -1, 4)
        return boxes.gather(1, index), best, place % CLASSES


class Suppression(torch.autograd.Function):
    """ONNX's NonMaxSuppression in the middle of a PyTorch model, as YOLO repositories export it. Rows: image, class, box."""

    @staticmethod
    def forward(context, boxes, scores):
        del context
        rows = []
        for image in range(scores.shape[0]):
            for label in range(scores.shape[1]):
                of_class = scores[image, label]
                candidates = torch.nonzero(of_class > 0.6).flatten()
                kept = torchvision.ops.nms(boxes[image, candidates], of_class[candidates], 0.4)[:5]
                rows += [(image, label, int(candidates[index])) for index in kept]
        return torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)

    @staticmethod
    def symbolic(graph, boxes, scores):
        def constant(value, dtype):
            return graph.op("Constant", value_t=torch.tensor([value], dtype=dtype))
        return graph.op("NonMaxSuppression", boxes, scores, constant(5, torch.int64), constant(0.4, torch.float32),
                        constant(0.6, torch.float32))


class SuppressedBoxes(nn.Module):
    """What no better box of the same class overlaps."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        boxes, scores = self.network(image)
        scores = scores.transpose(1, 2)
        images, labels, places = Suppression.apply(boxes, scores).unbind(1)
        return images, labels, boxes[images, places], scores[images, labels, places]


def make_yolo(end):
    network = Yolo()
    decisive(network)
    return end(network).eval()


def one_image_feeds(rng, height, width):
    coarse = rng.random((3, height // 8, width // 8), np.float32)
    return {"image": np.kron(coarse, np.ones((1, 8, 8), np.float32)) + 0.1 * rng.random((3, height, width), np.float32)}


def detector(name, make):
    """The new exporter refuses these: sizes that depend on data decide which way torchvision's code goes."""
    return exporting.Small(name, make, one_image_feeds, inputs={"image": {1: "height", 2: "width"}},
                           outputs={"boxes": BOX_AXES, "scores": BOX_AXES, "labels": BOX_AXES},
                           sizes=[(64, 64), (64, 96), (80, 72)], traced=(64, 80), exporters={"legacy": exporting.legacy()})


MODELS = [
    exporting.Small("yolo-topk-small", lambda: make_yolo(BestBoxes), image_feeds, inputs={"image": IMAGE_AXES},
                    outputs={"boxes": {0: "batch"}, "scores": {0: "batch"}, "labels": {0: "batch"}},
                    sizes=[(1, 64, 64), (2, 64, 96), (3, 96, 48)], traced=(2, 64, 80)),
    exporting.Small("yolo-nms-small", lambda: make_yolo(SuppressedBoxes), image_feeds, inputs={"image": IMAGE_AXES},
                    outputs={"images": BOX_AXES, "labels": BOX_AXES, "boxes": BOX_AXES, "scores": BOX_AXES},
                    sizes=[(1, 64, 64), (2, 64, 96), (3, 96, 48)], traced=(2, 64, 80), exporters={"legacy": exporting.legacy()}),
    detector("faster-rcnn-small", make_faster_rcnn),
    detector("retinanet-small", make_retinanet),
    detector("ssdlite-small", make_ssdlite),
]
