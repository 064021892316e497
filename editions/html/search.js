// Looks for the words of a query in PAGES, which texts.js holds: every page that has all
// of them, the best first, with the places where they stand.
const PLACES = 3, BEFORE = 30, AFTER = 90;

// Letter by letter, so that a place in the one is the same place in the other.
const alike = (text) => text.toLowerCase().replaceAll('×', 'x');

// A Latin word is found where it begins, a number where it ends, Chinese anywhere.
function pattern(word) {
  const start = /^[a-z0-9]/.test(word) ? '(?<![a-z0-9])' : '';
  const end = /[0-9]$/.test(word) ? '(?![0-9])' : '';
  return start + word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') + end;
}

function count(text, word) {
  return [...alike(text).matchAll(new RegExp(pattern(word), 'g'))].length;
}

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);

// A heading says more than a text, and the title of a page more than a heading; a text
// does not say more with every time that it says it.
function rate(page, words) {
  const texts = (word) => sum(page.sections.map((section) => section.score[word]));
  const scores = words.map((word) => 100 * count(page.title, word) + texts(word));
  if (scores.includes(0)) return 0;
  return sum(scores) / (page.name.startsWith('solutions/') ? 2 : 1);
}

function rateSection(section, words) {
  return Object.fromEntries(words.map((word) => [
    word, 20 * count(section.title, word) + Math.min(count(section.text, word), 3)]));
}

function find(words) {
  for (const page of PAGES) {
    for (const section of page.sections) section.score = rateSection(section, words);
    page.score = rate(page, words);
  }
  return PAGES.filter((page) => page.score).sort((a, b) => b.score - a.score);
}

// The text with what was found marked.
function marked(text, words) {
  const found = new RegExp(words.map(pattern).join('|'), 'g');
  const parts = [];
  let end = 0;
  for (const match of alike(text).matchAll(found)) {
    const mark = document.createElement('mark');
    mark.textContent = text.slice(match.index, match.index + match[0].length);
    parts.push(text.slice(end, match.index), mark);
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

function excerpt(text, words) {
  const first = alike(text).search(new RegExp(words.map(pattern).join('|')));
  const start = Math.max(first - BEFORE, 0);
  const end = Math.max(first, 0) + AFTER;
  return (start ? '…' : '') + text.slice(start, end) + (end < text.length ? '…' : '');
}

function element(tag, ...content) {
  const made = document.createElement(tag);
  made.append(...content);
  return made;
}

function link(address, ...content) {
  const made = element('a', ...content);
  made.href = address;
  return made;
}

function showPage(page, words) {
  const score = (section) => sum(Object.values(section.score));
  const places = page.sections.filter(score).sort((a, b) => score(b) - score(a));
  return element('li',
    link(`${page.name}.html`, ...marked(page.title, words)),
    ...places.slice(0, PLACES).map((section) => element('p',
      link(`${page.name}.html#${section.id}`, ...marked(section.title, words)),
      ' ', ...marked(excerpt(section.text, words), words))));
}

const query = new URLSearchParams(location.search).get('q') ?? '';
const words = alike(query).split(/\s+/).filter(Boolean);
for (const input of document.querySelectorAll('input[name=q]')) input.value = query;
if (words.length) {
  const pages = find(words);
  document.getElementById('search-results')
    .append(...pages.map((page) => showPage(page, words)));
  document.getElementById('search-status').textContent =
    pages.length ? `有 ${pages.length} 页写到“${query}”。` : `没有找到“${query}”。`;
}
