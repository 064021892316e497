// A formula that is wider than the page scrolls in its own box, and a key can scroll it.
// For code and tables the theme does the same.
const BOXES = 'div.math > mjx-container, span.math.wide';

function fitBoxes() {
  for (const formula of document.querySelectorAll('span.math')) {
    const drawn = formula.querySelector('mjx-container')?.getBoundingClientRect();
    const room = formula.parentElement.clientWidth;
    formula.classList.toggle('wide', room > 0 && drawn?.width > room);
  }
  for (const box of document.querySelectorAll(BOXES)) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute('tabindex');
  }
}

addEventListener('load', async () => {
  await window.MathJax?.startup.promise;
  fitBoxes();
  addEventListener('resize', fitBoxes);
});
