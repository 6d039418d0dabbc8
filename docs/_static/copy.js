// Buttons that copy code, without prompts and without what the code prints.
"use strict";

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
