#!/usr/bin/env python3
"""Plain PyTorch (and scikit-learn) versions of the work in benches/*.rhai; prints the seconds of one timed run.

    python benches/baselines.py WORK [--threads 2] [--scale 1.0]          works: see WORKS at the end

Each does its work once as a warm-up on a tenth of the data and then once under the clock. Written the way a careful
PyTorch user would; compare.sh alternates these with ours and prints ratios.
"""
import argparse
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class ConvNet(nn.Module):
    """Three blocks of conv 3x3, instance norm (one group per channel), ReLU, average pooling; then a linear classifier."""

    def __init__(self, channels=3, side=32, classes=10, width=128, depth=3):
        super().__init__()
        layers, planes = [], channels
        for _ in range(depth):
            layers += [nn.Conv2d(planes, width, 3, padding=1), nn.GroupNorm(width, width), nn.ReLU(inplace=True), nn.AvgPool2d(2)]
            planes, side = width, side // 2
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(width * side * side, classes)

    def embed(self, x):
        return self.features(x).flatten(1)

    def forward(self, x):
        return self.classifier(self.embed(x))


def images(n, classes=10):
    x = torch.randn(n, 3, 32, 32)
    return x, torch.arange(n) % classes


def quantile_loss(logits, y, k=2.0, clamp=60.0):
    x = torch.log(1 + F.cross_entropy(logits, y, reduction="none") + 1e-8)
    cdf = torch.sigmoid(k * F.relu(x[:, None] - x[None, :])).mean(1)
    return (2**0.5 * torch.erfinv(2 * cdf - 1)).clamp(-clamp, clamp)


def mmd(a, b):
    def kernel(p, q):
        return torch.exp(-((p[:, None] - q[None, :]) ** 2) / 2).mean()

    return kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)


def train(scale):
    n = int(2048 * scale)
    x, y = images(n)
    net = ConvNet(width=32)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    net.train()

    def work():
        for index in torch.randperm(n).split(64):
            optimizer.zero_grad()
            F.cross_entropy(net(x[index]), y[index]).backward()
            optimizer.step()

    return work


def acf(scale, best):
    retain_x, retain_y = images(int(2048 * scale))
    forget_x, forget_y = images(512)
    unseen_x, unseen_y = images(2048)
    net = ConvNet(width=32)
    optimizer = torch.optim.Adam(net.parameters(), lr=2.4e-4)
    net.train()

    def naive():
        for index in torch.randperm(len(retain_x)).split(64):
            m = len(index)
            f = torch.randperm(len(forget_x))[: 4 * m]
            present = set(forget_y[f].tolist())
            eligible = torch.tensor([i for i, label in enumerate(unseen_y.tolist()) if label in present])
            u = eligible[torch.randperm(len(eligible))[: 4 * m]]
            optimizer.zero_grad()
            primary = F.cross_entropy(net(retain_x[index]), retain_y[index]) ** 2
            z_unseen = quantile_loss(net(unseen_x[u]).detach(), unseen_y[u])
            z_forget = quantile_loss(net(forget_x[f]), forget_y[f])
            (primary + 34 * mmd(z_unseen, z_forget)).backward()
            optimizer.step()

    of_class = [torch.nonzero(unseen_y == c).flatten() for c in range(10)]

    def fast():
        for index in torch.randperm(len(retain_x)).split(64):
            m = len(index)
            f = torch.randperm(len(forget_x))[: 4 * m]
            eligible = torch.cat([of_class[c] for c in forget_y[f].unique().tolist()])
            u = eligible[torch.randperm(len(eligible))[: 4 * m]]
            with torch.no_grad():
                logits = torch.cat([net(part) for part in unseen_x[u].split(32)])
                z_unseen = quantile_loss(logits, unseen_y[u])
            logits = torch.cat([net(part) for part in torch.cat([retain_x[index], forget_x[f]]).split(32)])
            primary = F.cross_entropy(logits[:m], retain_y[index]) ** 2
            loss = primary + 34 * mmd(z_unseen, quantile_loss(logits[m:], forget_y[f]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return fast if best else naive


def blend(scale):
    clusters = [images(20)[0] for _ in range(max(1, int(100 * scale)))]
    net = ConvNet(width=128).eval()
    for p in net.parameters():
        p.requires_grad_(False)

    def work():
        with torch.no_grad():
            targets = [net.embed(x).mean(0) for x in clusters]
        weights = [torch.full((len(x),), 1 / len(x), requires_grad=True) for x in clusters]
        optimizer = torch.optim.SGD(weights, lr=1.7 * len(clusters), momentum=0.5)
        for _ in range(12):
            optimizer.zero_grad()
            for x, a, target in zip(clusters, weights, targets):
                image = ((a / a.sum())[:, None, None, None] * x).sum(0, keepdim=True)
                (F.mse_loss(net.embed(image)[0], target) / len(clusters)).backward()
            optimizer.step()

    return work


def kmeans(x, k, iterations=100, tolerance=1e-4):
    n = len(x)
    centroids, nearest = [x[torch.randint(n, (1,)).item()]], torch.full((n,), float("inf"))
    for _ in range(k - 1):
        nearest = torch.minimum(nearest, ((x - centroids[-1]) ** 2).sum(1))
        centroids.append(x[torch.multinomial(nearest / nearest.sum(), 1).item()])
    centroids = torch.stack(centroids)
    for _ in range(iterations):
        labels = torch.cdist(x, centroids).argmin(1)
        new = []
        for j in range(k):
            members = labels == j
            new.append(x[members].mean(0) if members.any() else x[torch.randint(n, (1,)).item()])
        new = torch.stack(new)
        shift = (new - centroids).norm(dim=1).sum().item()
        centroids = new
        if shift < tolerance:
            break
    return labels


def clusters(scale):
    x, y = images(int(4000 * scale))
    net = ConvNet(width=128).eval()

    def work():
        with torch.no_grad():
            features = torch.cat([net.embed(part) for part in x.split(256)])
        for c in range(10):
            kmeans(features[y == c], 10)

    return work


def mia(scale):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    n = int(1000 * scale)
    member, other = 3 * torch.randn(n, 10), 2.5 * torch.randn(n, 10)
    y = torch.arange(n) % 10

    def phi(logits):
        p = torch.exp(-(-F.log_softmax(logits, 1)).clamp(0, 50))
        own = p.gather(1, y[:, None])[:, 0]
        rest = p.scatter(1, y[:, None], 0).sum(1)
        return (own.clamp(min=1e-15).log() - rest.clamp(min=1e-15).log()).numpy()

    def work():
        import numpy as np

        features = np.concatenate([phi(member), phi(other)])[:, None]
        labels = np.concatenate([np.zeros(n), np.ones(n)])
        for _ in range(20):
            folds = StratifiedKFold(5, shuffle=True, random_state=0)
            model = LogisticRegression()
            cross_val_predict(model, features, labels, cv=folds)
            p = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")[:, 1]
            roc_auc_score(labels, p)

    return work


def fisher(scale):
    """One sample at a time, one backward pass a class: the reference's formulation."""
    n = int(64 * scale)
    x, _ = images(n)
    net = ConvNet(width=32).eval()

    def work():
        sums = [torch.zeros_like(p) for p in net.parameters()]
        for i in range(n):
            logits = net(x[i : i + 1])
            p = logits.detach().softmax(1)[0]
            for c in range(10):
                net.zero_grad()
                F.cross_entropy(logits, torch.tensor([c])).backward(retain_graph=c < 9)
                for total, q in zip(sums, net.parameters()):
                    total += p[c] * q.grad**2
        return [total / n for total in sums]

    return work


def ssd_samples(scale):
    n = int(256 * scale)
    x, y = images(n)
    net = ConvNet(width=32).eval()

    def work():
        sums = [torch.zeros_like(p) for p in net.parameters()]
        for i in range(n):
            net.zero_grad()
            F.cross_entropy(net(x[i : i + 1]), y[i : i + 1]).backward()
            for total, p in zip(sums, net.parameters()):
                total += p.grad**2
        return [total / n for total in sums]

    return work


def kd(student, teacher, t):
    return t * t * F.kl_div(F.log_softmax(student / t, 1), F.softmax(teacher / t, 1), reduction="batchmean")


def unlearning(scale):
    """1,024 retain and 256 forget images, a student, its frozen copy and an optimiser."""
    retain, forget = images(int(1024 * scale)), images(int(256 * scale))
    student, teacher = ConvNet(width=32), ConvNet(width=32).eval()
    teacher.load_state_dict(student.state_dict())
    for p in teacher.parameters():
        p.requires_grad_(False)
    return retain, forget, student, teacher, torch.optim.SGD(student.parameters(), lr=5e-4, momentum=0.9, weight_decay=5e-4)


def scrub(scale):
    retain, forget, student, teacher, optimizer = unlearning(scale)

    def step(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def work():
        for index in torch.randperm(len(forget[0])).split(64):
            x = forget[0][index]
            with torch.no_grad():
                target = teacher(x)
            step(-kd(student(x), target, 4.0))
        for index in torch.randperm(len(retain[0])).split(64):
            x, y = retain[0][index], retain[1][index]
            with torch.no_grad():
                target = teacher(x)
            z = student(x)
            step(0.99 * F.cross_entropy(z, y) + 0.001 * kd(z, target, 4.0))

    return work


def distill(scale):
    retain, _, student, teacher, optimizer = unlearning(scale)

    def work():
        for index in torch.randperm(len(retain[0])).split(64):
            x, y = retain[0][index], retain[1][index]
            with torch.no_grad():
                target = teacher(x)
            z = student(x)
            optimizer.zero_grad()
            (F.cross_entropy(z, y) + 0.001 * kd(z, target, 2.0)).backward()
            optimizer.step()

    return work


def bad_teacher(scale):
    """Both teachers on every sample, as the method's own code does."""
    retain, forget, student, good, optimizer = unlearning(scale)
    bad = ConvNet(width=32).eval()
    x = torch.cat([retain[0], forget[0]])
    flags = torch.cat([torch.zeros(len(retain[0]), 1), torch.ones(len(forget[0]), 1)])

    def work():
        for index in torch.randperm(len(x)).split(64):
            batch, flag = x[index], flags[index]
            with torch.no_grad():
                target = flag * F.softmax(bad(batch), 1) + (1 - flag) * F.softmax(good(batch), 1)
            optimizer.zero_grad()
            F.kl_div(F.log_softmax(student(batch), 1), target).backward()
            optimizer.step()

    return work


def l1(scale):
    """The penalty as the reference writes it: all parameters concatenated, through autograd."""
    n = int(2048 * scale)
    x, y = images(n)
    net = ConvNet(width=32)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    net.train()

    def work():
        for index in torch.randperm(n).split(64):
            optimizer.zero_grad()
            norm = torch.linalg.norm(torch.cat([p.view(-1) for p in net.parameters()]), ord=1)
            (F.cross_entropy(net(x[index]), y[index]) + 1e-4 * norm).backward()
            optimizer.step()

    return work


def dm(scale):
    """Two iterations of distribution matching, class by class as published; a new network in each."""
    real, classes = torch.randn(2560, 3, 32, 32), torch.arange(2560) % 10
    of_class = [torch.nonzero(classes == c).flatten() for c in range(10)]
    pixels = torch.cat([real[index[:10]] for index in of_class]).requires_grad_(True)
    optimizer = torch.optim.SGD([pixels], lr=1.0, momentum=0.5)

    def work():
        for _ in range(2 if scale >= 1 else 1):
            net = ConvNet(width=128).train()
            for p in net.parameters():
                p.requires_grad_(False)
            loss = 0.0
            for c, index in enumerate(of_class):
                chosen = index[torch.randperm(len(index))[:256]]
                with torch.no_grad():
                    target = net.embed(real[chosen]).mean(0)
                loss = loss + ((net.embed(pixels[10 * c : 10 * c + 10]).mean(0) - target) ** 2).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return work


WORKS = {
    "train": train,
    "acf_naive": lambda scale: acf(scale, best=False),
    "acf_best": lambda scale: acf(scale, best=True),
    "blend": blend,
    "clusters": clusters,
    "mia": mia,
    "fisher": fisher,
    "ssd_samples": ssd_samples,
    "scrub": scrub,
    "distill": distill,
    "bad_teacher": bad_teacher,
    "l1": l1,
    "dm": dm,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=WORKS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    WORKS[options.work](max(0.1, options.scale / 10))()
    work = WORKS[options.work](options.scale)
    started = time.perf_counter()
    work()
    print(f"{time.perf_counter() - started:.4f}")
