#!/usr/bin/env python3
"""accuracy.py LOGITS.npy LABELS.npy: prints the first predictions and the accuracy; exit code 1 below 97 %."""
import sys

import numpy as np

LEAST = 97.0


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    logits, labels = np.load(sys.argv[1]), np.load(sys.argv[2])
    if logits.shape != (len(labels), 10):
        raise SystemExit(f"error: logits have shape {logits.shape}, expected {(len(labels), 10)}")
    predicted = logits.argmax(1)
    print("predicted:", *predicted[:20])
    print("labelled: ", *labels[:20])
    accuracy = 100.0 * (predicted == labels).mean()
    print(f"accuracy: {accuracy:.2f} % ({(predicted == labels).sum()} of {len(labels)} held-out digits)")
    return 0 if accuracy >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
