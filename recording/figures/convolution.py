"""Store the image that the figure convolution.js shows: the pullover of section 01."""

from d2lutil.data.files import BOOK_FOLDER, read

PULLOVER = 1  # the second test image


def convolution_data() -> dict[str, list[list[int]]]:
    """Return what convolution.json holds: 14 x 14 pixels in hundredths of white.

    A pixel is the mean of 2 x 2 of the image's own; so large, it can be touched.
    """
    image = read(BOOK_FOLDER).test_images[PULLOVER] / 255
    means = image.reshape(14, 2, 14, 2).mean(axis=(1, 3))
    return {"pullover": (100 * means).round().astype(int).tolist()}
