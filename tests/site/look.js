// Returns what is wrong with the look of the page, in sentences.
const wrong = [];
const root = document.documentElement;
const right = root.clientWidth + 1;

const style = (element) => getComputedStyle(element);
const box = (element) => element.getBoundingClientRect();
const name = (element) => `<${element.localName} class="${element.getAttribute('class')}">`;
const scrolls = (element) => /auto|scroll/.test(style(element).overflowX);

if (root.scrollWidth > right) wrong.push(`The page is ${root.scrollWidth} wide.`);

// In the dark a picture has a light edge, which its size includes.
for (const picture of document.images) {
  const padding = (...sides) =>
    sides.reduce((sum, side) => sum + parseFloat(style(picture)[`padding${side}`]), 0);
  const width = box(picture).width - padding('Left', 'Right');
  const height = box(picture).height - padding('Top', 'Bottom');
  const stretched = width / height * picture.naturalHeight / picture.naturalWidth;
  if (!picture.naturalWidth) wrong.push(`${picture.src} is not there.`);
  else if (width > 0 && Math.abs(stretched - 1) > 0.02)
    wrong.push(`${picture.src} is stretched by ${stretched}.`);
}

// Parts of a formula are inside its box, those of a picture are cut off at its edge.
for (const part of document.querySelectorAll('main *:not(mjx-container *, svg *)')) {
  if (!part.getClientRects().length || part.closest('.visually-hidden, .sr-only, dialog'))
    continue;
  const tooWide = part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 2;
  if (tooWide && scrolls(part) && part.tabIndex < 0)
    wrong.push(`${name(part)} scrolls, but not with the keyboard.`);
  if (tooWide && /hidden|clip/.test(style(part).overflowX) && part.textContent.trim())
    wrong.push(`${name(part)} is cut off: ${part.textContent.trim().slice(0, 40)}`);

  const inBox = (element) => element && box(element).right <= right && scrolls(element);
  let outer = part.parentElement;
  while (outer && !inBox(outer)) outer = outer.parentElement;
  if (box(part).right > right && !outer && !part.closest('.bd-sidebar-secondary'))
    wrong.push(`${name(part)} reaches out of the page.`);
}

// A printed table keeps its lines whole.
for (const table of document.querySelectorAll('.columns pre'))
  if (style(table).whiteSpace !== 'pre') wrong.push(`${name(table)} breaks its lines.`);

return wrong;
