"""Papers that the methods of a run come from, and sentences that cite them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Reference:
    """A paper, a book or a program.

    Attributes:
        text: Authors, title, place and year.
        doi: Without its address; empty where there is none.
    """

    text: str
    doi: str = ""

    def __str__(self) -> str:
        return f"{self.text} doi:{self.doi}" if self.doi else self.text


@dataclass(frozen=True)
class Sentence:
    """A sentence and what it cites.

    Attributes:
        text: With its full stop.
        cites: In the order of the numbers in brackets.
    """

    text: str
    cites: tuple[Reference, ...] = ()

    @classmethod
    def of(cls, text: str, *cites: Reference) -> Self:
        """Make a sentence."""
        return cls(text, cites)

    def numbered(self, numbers: Sequence[int]) -> str:
        """Write it with the numbers of what it cites before its full stop.

        >>> Sentence.of("It was tested.", DELONG, WILSON).numbered([3, 4])
        'It was tested [3, 4].'
        """
        return f"{self.text.removesuffix('.')} [{', '.join(map(str, numbers))}]." if numbers else self.text


def numbered(paragraphs: Iterable[Sequence[Sentence]]) -> tuple[list[str], list[Reference]]:
    """Write paragraphs with numbered citations.

    Args:
        paragraphs: Their sentences.

    Returns:
        The paragraphs, and the references in the order of their numbers, from 1.
    """
    found: dict[Reference, int] = {}
    texts = []
    for sentences in paragraphs:
        written = []
        for sentence in sentences:
            written.append(sentence.numbered([found.setdefault(each, len(found) + 1) for each in sentence.cites]))
        texts.append(" ".join(written))
    return texts, list(found)


DEEPBET = Reference(
    "Fisch L, et al. deepbet: fast brain extraction of T1-weighted MRI using convolutional neural networks. Comput "
    "Biol Med 2024;179:108845.",
    "10.1016/j.compbiomed.2024.108845",
)
FONOV = Reference(
    "Fonov V, et al. Unbiased average age-appropriate atlases for pediatric studies. NeuroImage 2011;54:313-327.",
    "10.1016/j.neuroimage.2010.07.033",
)
SFCN = Reference(
    "Peng H, et al. Accurate brain age prediction with lightweight deep neural networks. Med Image Anal "
    "2021;68:101871.",
    "10.1016/j.media.2020.101871",
)
RESNET = Reference(
    "He K, et al. Deep residual learning for image recognition. Proc CVPR 2016:770-778.", "10.1109/CVPR.2016.90"
)
DENSENET = Reference(
    "Huang G, et al. Densely connected convolutional networks. Proc CVPR 2017:2261-2269.", "10.1109/CVPR.2017.243"
)
EFFICIENTNET = Reference(
    "Tan M, Le QV. EfficientNet: rethinking model scaling for convolutional neural networks. Proc ICML 2019.",
    "10.48550/arXiv.1905.11946",
)
ADAMW = Reference(
    "Loshchilov I, Hutter F. Decoupled weight decay regularization. ICLR 2019.", "10.48550/arXiv.1711.05101"
)
ONE_CYCLE = Reference(
    "Smith LN, Topin N. Super-convergence: very fast training of neural networks using large learning rates. 2018.",
    "10.48550/arXiv.1708.07120",
)
TEMPERATURE = Reference(
    "Guo C, et al. On calibration of modern neural networks. Proc ICML 2017.", "10.48550/arXiv.1706.04599"
)
PLATT = Reference(
    "Platt JC. Probabilistic outputs for support vector machines and comparisons to regularized likelihood methods. "
    "In: Advances in large margin classifiers. MIT Press 1999:61-74."
)
LIBSVM = Reference(
    "Chang CC, Lin CJ. LIBSVM: a library for support vector machines. ACM Trans Intell Syst Technol 2011;2:27.",
    "10.1145/1961189.1961199",
)
COLE = Reference(
    "Cole JH, et al. Brain age predicts mortality. Mol Psychiatry 2018;23:1385-1392.", "10.1038/mp.2017.62"
)
COMBAT = Reference(
    "Johnson WE, Li C, Rabinovic A. Adjusting batch effects in microarray expression data using empirical Bayes "
    "methods. Biostatistics 2007;8:118-127.",
    "10.1093/biostatistics/kxj037",
)
COMBAT_OF_IMAGES = Reference(
    "Fortin JP, et al. Harmonization of cortical thickness measurements across scanners and sites. NeuroImage "
    "2018;167:104-120.",
    "10.1016/j.neuroimage.2017.11.024",
)
DELONG = Reference(
    "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more correlated receiver operating "
    "characteristic curves: a nonparametric approach. Biometrics 1988;44:837-845.",
    "10.2307/2531595",
)
OBUCHOWSKI = Reference(
    "Obuchowski NA. Nonparametric analysis of clustered ROC curve data. Biometrics 1997;53:567-578.", "10.2307/2533958"
)
WILSON = Reference(
    "Wilson EB. Probable inference, the law of succession, and statistical inference. J Am Stat Assoc 1927;22:209-212.",
    "10.1080/01621459.1927.10502953",
)
NADEAU = Reference(
    "Nadeau C, Bengio Y. Inference for the generalization error. Mach Learn 2003;52:239-281.",
    "10.1023/A:1024068626366",
)
BATES = Reference(
    "Bates S, Hastie T, Tibshirani R. Cross-validation: what does it estimate and how well does it do it? J Am Stat "
    "Assoc 2024;119:1434-1445.",
    "10.1080/01621459.2023.2197686",
)
PHIPSON = Reference(
    "Phipson B, Smyth GK. Permutation p-values should never be zero: calculating exact p-values when permutations are "
    "randomly drawn. Stat Appl Genet Mol Biol 2010;9:39.",
    "10.2202/1544-6115.1585",
)
VOVK = Reference(
    "Vovk V, Wang R. Combining p-values via averaging. Biometrika 2020;107:791-808.", "10.1093/biomet/asaa027"
)
FIGUEROA = Reference(
    "Figueroa RL, et al. Predicting sample size required for classification performance. BMC Med Inform Decis Mak "
    "2012;12:8.",
    "10.1186/1472-6947-12-8",
)
WOLPERT = Reference("Wolpert DH. Stacked generalization. Neural Netw 1992;5:241-259.", "10.1016/S0893-6080(05)80023-1")
BOOSTING = Reference(
    "Friedman JH. Greedy function approximation: a gradient boosting machine. Ann Stat 2001;29:1189-1232.",
    "10.1214/aos/1013203451",
)
HOLM = Reference("Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 1979;6:65-70.")
INTEGRATED_GRADIENTS = Reference(
    "Sundararajan M, Taly A, Yan Q. Axiomatic attribution for deep networks. Proc ICML 2017.",
    "10.48550/arXiv.1703.01365",
)
EXPECTED_GRADIENTS = Reference(
    "Erion G, Janizek JD, Sturmfels P, Lundberg SM, Lee SI. Improving performance of deep learning models with "
    "axiomatic attribution priors and expected gradients. Nat Mach Intell 2021;3:620-631.",
    "10.1038/s42256-021-00343-w",
)
SANITY = Reference("Adebayo J, et al. Sanity checks for saliency maps. NeurIPS 2018.", "10.48550/arXiv.1810.03292")
RISE = Reference(
    "Petsiuk V, Das A, Saenko K. RISE: randomized input sampling for explanation of black-box models. BMVC 2018.",
    "10.48550/arXiv.1806.07421",
)
TRIPOD = Reference(
    "Collins GS, et al. TRIPOD+AI statement: updated guidance for reporting clinical prediction models that use "
    "regression or machine learning methods. BMJ 2024;385:e078378.",
    "10.1136/bmj-2023-078378",
)
CLAIM = Reference(
    "Tejani AS, et al. Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update. Radiol Artif "
    "Intell 2024;6:e240300.",
    "10.1148/ryai.240300",
)

SOFTWARE = {
    "torch": Reference(
        "Paszke A, et al. PyTorch: an imperative style, high-performance deep learning library. NeurIPS 2019.",
        "10.48550/arXiv.1912.01703",
    ),
    "pytorch-lightning": Reference("Falcon W, et al. PyTorch Lightning. 2019.", "10.5281/zenodo.3828935"),
    "monai": Reference(
        "Cardoso MJ, et al. MONAI: an open-source framework for deep learning in healthcare. 2022.",
        "10.48550/arXiv.2211.02701",
    ),
    "captum": Reference(
        "Kokhlikyan N, et al. Captum: a unified and generic model interpretability library for PyTorch. 2020.",
        "10.48550/arXiv.2009.07896",
    ),
    "scikit-learn": Reference(
        "Pedregosa F, et al. Scikit-learn: machine learning in Python. J Mach Learn Res 2011;12:2825-2830."
    ),
    "nibabel": Reference("Brett M, et al. NiBabel.", "10.5281/zenodo.591597"),
    "numpy": Reference(
        "Harris CR, et al. Array programming with NumPy. Nature 2020;585:357-362.", "10.1038/s41586-020-2649-2"
    ),
    "scipy": Reference(
        "Virtanen P, et al. SciPy 1.0: fundamental algorithms for scientific computing in Python. Nat Methods "
        "2020;17:261-272.",
        "10.1038/s41592-019-0686-2",
    ),
}
"""Name of a distribution to what its makers want to be cited by."""
