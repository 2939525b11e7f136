// The contact sheet: pictures are marked, marks are kept in this browser and saved as a file of names.
const every = [...document.querySelectorAll(".sheet input")];
const count = document.getElementById("count");
const list = document.getElementById("list");
const name = "descend data " + document.body.querySelector("main").dataset.set;

function marked() {
  return every.filter((box) => box.checked).map((box) => box.value);
}

function text() {
  return marked().map((file) => file + "\n").join("");
}

function tell() {
  const n = marked().length;
  count.textContent = n === 1 ? "1 marked" : n.toLocaleString("en") + " marked";
  list.value = text();
  for (const id of ["save", "copy", "clear"]) document.getElementById(id).disabled = n === 0;
  try {
    localStorage.setItem(name, list.value);
  } catch {
    // a browser that keeps nothing: the marks live as long as the page
  }
}

try {
  const kept = new Set((localStorage.getItem(name) || "").split("\n"));
  for (const box of every) box.checked = kept.has(box.value);
} catch {
  // as above
}

document.addEventListener("change", (event) => {
  if (event.target.matches(".sheet input")) tell();
  if (event.target.id === "only") document.body.classList.toggle("only", event.target.checked);
});

document.getElementById("save").addEventListener("click", () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text()], { type: "text/plain" }));
  link.download = "marks.txt";
  link.click();
  URL.revokeObjectURL(link.href);
});

document.getElementById("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(text());
  } catch {
    list.closest("details").open = true;
    list.select();
    document.execCommand("copy");
  }
  count.textContent = marked().length + " copied";
});

document.getElementById("clear").addEventListener("click", () => {
  for (const box of every) box.checked = false;
  tell();
});

// One stop of the Tab key for each class; within it the arrows move.
for (const sheet of document.querySelectorAll(".sheet")) {
  const boxes = [...sheet.querySelectorAll("input")];
  boxes.forEach((box, k) => (box.tabIndex = k ? -1 : 0));
  const go = (to) => {
    for (const box of boxes) box.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  };
  sheet.addEventListener("keydown", (event) => {
    const shown = boxes.filter((box) => box.offsetParent);
    const at = shown.indexOf(event.target);
    if (at < 0) return;
    const row = shown.findIndex((box) => box.closest("li").offsetTop > shown[0].closest("li").offsetTop);
    const wide = row < 0 ? shown.length : row;
    const last = shown.length - 1;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + wide, ArrowUp: at - wide, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      if (shown[to]) go(shown[to]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      enlarge(event.target);
    }
  });
  sheet.addEventListener("focusin", (event) => {
    if (event.target.matches("input")) {
      for (const box of boxes) box.tabIndex = -1;
      event.target.tabIndex = 0;
    }
  });
  sheet.addEventListener("dblclick", (event) => {
    const item = event.target.closest("li");
    if (item) enlarge(item.querySelector("input"));
  });
}

const large = document.getElementById("large");
function enlarge(box) {
  const image = large.querySelector("img");
  image.src = box.value.split("/").map(encodeURIComponent).join("/");
  image.alt = box.closest("label").textContent.trim();
  large.querySelector("p").textContent = box.value;
  large.showModal();
}
large.addEventListener("click", () => large.close());

document.body.classList.add("alive");
tell();
