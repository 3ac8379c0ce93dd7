// See Progress.h.
#include "Progress.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include <cstring>
#include <sys/ioctl.h>
#include <unistd.h>

using namespace mlc;

static constexpr std::chrono::milliseconds delay{1000}, tick{250};

static void writeAll(llvm::StringRef text) {
  while (!text.empty()) {
    ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0)
      return; // the terminal is gone; progress is not worth an error
    text = text.drop_front(written);
  }
}

static size_t terminalWidth() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

Progress::Progress(bool isQuiet) {
  const char *terminal = getenv("TERM");
  isActive = !isQuiet && isatty(STDERR_FILENO) && !(terminal && strcmp(terminal, "dumb") == 0);
  if (!isActive)
    return;
  ticker = std::thread([this] {
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, tick, [this] { return isDone; }))
      redraw();
  });
}

void Progress::show(llvm::StringRef stage, int64_t index, int64_t count) {
  if (!isActive)
    return;
  std::lock_guard lock(mutex);
  text = count ? llvm::formatv("{0} ({1} of {2})", stage, index, count).str() : stage.str();
}

void Progress::redraw() {
  auto elapsed = Clock::now() - start;
  if (elapsed < delay || text.empty())
    return;
  std::string line =
      llvm::formatv("{0}, {1} s", text, std::chrono::duration_cast<std::chrono::seconds>(elapsed).count());
  for (char &c : line)
    if (!llvm::isPrint(c))
      c = '?';
  line.resize(std::min(line.size(), terminalWidth() - 1));
  writeAll("\r\x1b[K" + line);
  isShown = true;
}

void Progress::Errors::write_impl(const char *text, size_t size) {
  std::lock_guard lock(progress.mutex);
  if (progress.isShown)
    writeAll("\r\x1b[K");
  progress.isShown = false;
  progress.text.clear(); // until the next stage: what is printed may not end a line
  llvm::errs() << llvm::StringRef(text, size);
  position += size;
}

void Progress::clear() {
  if (!ticker.joinable())
    return;
  {
    std::lock_guard lock(mutex);
    isDone = true;
  }
  changed.notify_one();
  ticker.join();
  if (isShown)
    writeAll("\r\x1b[K");
}
