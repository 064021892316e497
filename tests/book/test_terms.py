"""Protects: the same thing has the same name in every notebook, figure and README."""

import re
from pathlib import Path

import pytest

from d2lutil.pages.sections import NOTEBOOKS
from tests.book.reading import FIGURES, PATHS, ROOT, name_of, read

TEXTS = [ROOT / "README.zh-CN.md", *PATHS, *FIGURES]

# The preferred term, and patterns of those that are not used for it.
TERMS = {
    "卷积层": ["褶积", "卷基层"],
    # Those of a processor, and JupyterLab's 内核, are other things.
    "卷积核": [r"(?<!卷积|物理|逻辑|\d )(?<![双内])核(?![心对实])"],
    "全连接层": ["全链接", "全联接", "密集层"],
    "池化层": ["汇聚层", "汇聚操作", "池化操作", "下采样层"],
    "步幅": ["步长", "步距"],
    "填充": ["补零", "填补", "补边"],
    "通道": ["信道", "频道"],
    "激活函数": ["激励函数", "启动函数", "活化函数"],
    "批量归一化": ["批标准化", "批归一化", "批规范化", "批量标准化", "批量规范化"],
    "丢弃法": ["随机失活", "暂退法", "丢弃层"],
    "残差块": ["残差单元", "残差模块"],
    "稠密块": ["密集块", "稠密模块"],
    "稠密连接": ["密集连接"],
    "过渡层": ["转换层", "过度层", "过渡块"],
    "跨层连接": ["跳跃连接", "跳接", "捷径", "短路连接"],
    "连结": ["拼接", "串接"],
    "超参数": ["超参(?!数)"],
    "迭代周期": ["(?<!迭代)周期", "轮次", "轮数", "纪元"],
    "学习率": ["学习速率"],
    "偏差": ["偏置"],
    "特征图": ["特征映射", "特征图谱"],
    "感受野": ["感知野", "感知域", "接受域"],
    "准确率": ["(?:训练|测试|分类)精度", "正确率"],
    "批量大小": ["批次", "批大小"],
    "图像": ["图片"],
    "默认": ["缺省"],
    "AlexNet": ["AlextNet", "Alexnet"],
    "GoogLeNet": ["GoodleNet", "GoogleNet", "Googlenet"],
    "ResNet": ["Resnet", "RESNET"],
    "DenseNet": ["Densenet"],
    "NiN": [r"\bNin\b", r"\bNIN\b"],
    "MXNet": ["MxNet", "Mxnet"],
    "Fashion-MNIST": ["FashionMNIST", "Fashion MNIST", "fashion-MNIST"],
    "JupyterLab": ["Jupyter Lab"],
}


def text_of(path: Path) -> str:
    """Return what a reader reads: the cells of a notebook, or the whole file."""
    if path.suffix == ".ipynb":
        cells = read(path).cells
        return "\n".join(cell.source for cell in cells)
    return path.read_text(encoding="utf-8")


def rejected_terms(text: str) -> set[str]:
    """Return each term of a text that is not used, with the one that is."""
    return {
        f"{match[0]} (use {preferred})"
        for preferred, rejected in TERMS.items()
        for match in re.finditer("|".join(rejected), text)
    }


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_terms_are_those_of_the_list(path):
    assert not rejected_terms(text_of(path))


def test_prose_code_and_labels_are_read():
    nin = text_of(NOTEBOOKS / "08-nin.ipynb")
    assert "网络中的网络（NiN）" in nin and "标签类别数是 10。" in nin
    assert "NiN 块" in text_of(NOTEBOOKS / "img" / "nin-block.svg")


def test_preferred_terms_pass():
    assert not rejected_terms("、".join([*TERMS, "超参数", "准确率和精度", "2 核"]))


# For each preferred term, texts with one that is not used.
REJECTED = [
    ("一个褶积", "卷积层"),
    ("卷基层", "卷积层"),
    ("从数据中学习核", "卷积核"),
    ("全链接层", "全连接层"),
    ("密集层", "全连接层"),
    ("汇聚层", "池化层"),
    ("池化操作", "池化层"),
    ("步长为 2", "步幅"),
    ("四周补零", "填充"),
    ("三个信道", "通道"),
    ("激励函数", "激活函数"),
    ("批标准化", "批量归一化"),
    ("批量规范化", "批量归一化"),
    ("随机失活", "丢弃法"),
    ("残差单元", "残差块"),
    ("密集块", "稠密块"),
    ("密集连接", "稠密连接"),
    ("转换层", "过渡层"),
    ("跳跃连接", "跨层连接"),
    ("拼接起来", "连结"),
    ("调节超参", "超参数"),
    ("5 个周期", "迭代周期"),
    ("训练轮数", "迭代周期"),
    ("学习速率", "学习率"),
    ("加上偏置", "偏差"),
    ("特征映射", "特征图"),
    ("感知野", "感受野"),
    ("测试精度", "准确率"),
    ("正确率", "准确率"),
    ("一个批次", "批量大小"),
    ("一张图片", "图像"),
    ("缺省值", "默认"),
    ("AlextNet", "AlexNet"),
    ("GoogleNet", "GoogLeNet"),
    ("Resnet", "ResNet"),
    ("Densenet", "DenseNet"),
    ("用 NIN", "NiN"),
    ("MxNet", "MXNet"),
    ("Fashion MNIST", "Fashion-MNIST"),
    ("Jupyter Lab", "JupyterLab"),
]


@pytest.mark.parametrize("text, preferred", REJECTED)
def test_rejected_terms_are_found(text, preferred):
    (found,) = rejected_terms(text)
    assert found.endswith(f"(use {preferred})")


def test_every_preferred_term_has_a_control():
    assert {preferred for _, preferred in REJECTED} == set(TERMS)
