"use strict";

// Long names break between their words where there is no room for them.
document.addEventListener("DOMContentLoaded", () => {
  const places = ".bd-links a, .prev-next-title, .bd-article td code span, .bd-article h1";
  for (const place of document.querySelectorAll(places)) {
    const text = place.firstChild;
    if (text?.nodeType !== Node.TEXT_NODE) continue;
    const words = text.data.split(/(?<=[a-z0-9])(?=[A-Z])|(?<=[_.(,=])(?=\S)/);
    text.replaceWith(...words.flatMap((word) => [document.createElement("wbr"), word]).slice(1));
  }
});

// Buttons that copy code, without prompts and without what the code prints.
function codeOf(block) {
  const text = block.querySelector("pre").textContent.trimEnd();
  const lines = text.split("\n");
  const prompt = /^(>>>|\.\.\.|\$) ?/;
  if (!prompt.test(lines[0])) return text;
  return lines.filter((line) => prompt.test(line)).map((line) => line.replace(prompt, "")).join("\n");
}

document.addEventListener("DOMContentLoaded", () => {
  if (!navigator.clipboard) return; // a page that came without https
  for (const block of document.querySelectorAll(".bd-article div.highlight:has(> pre)")) {
    if (block.closest(".printed, .sphx-glr-script-out, .highlight-none, .highlight-text")) continue;
    const button = document.createElement("button");
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(codeOf(block));
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
    block.append(button);
  }
});
