import torch
from torch.nn import functional as F

from mixup_tab.nets import LeNet


def test_number_of_parameters_at_the_size_of_the_paper():
    net = LeNet(30, (1, 160, 101))
    assert sum(p.numel() for p in net.parameters()) == 16_321_570
    assert net.head[0].weight.shape == (1000, 16280)


def test_it_computes_what_the_code_of_the_paper_computes():
    net, x = LeNet(4, (2, 24, 21)).eval(), torch.randn(3, 2, 24, 21)
    p = list(net.parameters())
    hidden = F.relu(F.max_pool2d(F.conv2d(x, p[0], p[1]), 2))
    hidden = F.relu(F.max_pool2d(F.conv2d(hidden, p[2], p[3]), 2))
    hidden = F.relu(F.linear(hidden.reshape(3, -1), p[4], p[5]))
    torch.testing.assert_close(net(x), F.linear(hidden, p[6], p[7]))
