// One line on a terminal that tells how far a long command is. It appears after a second, is rewritten in place, and is gone when the
// command ends or prints something. Where standard error is no terminal there is nothing.
#ifndef MLC_TOOLS_MLC_PROGRESS_H
#define MLC_TOOLS_MLC_PROGRESS_H
#include "llvm/ADT/StringRef.h"
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace mlc {

class Progress {
public:
  explicit Progress(bool isQuiet);
  ~Progress() { clear(); }

  /// "stage (index of count), 12 s"; count 0: only the stage.
  void show(llvm::StringRef stage, int64_t index = 0, int64_t count = 0);
  /// Removes the line and shows no more: before anything else is printed.
  void clear();

private:
  void redraw();

  using Clock = std::chrono::steady_clock;
  Clock::time_point start = Clock::now();
  bool isActive, isShown = false, isDone = false;
  std::string text;
  std::mutex mutex;
  std::condition_variable changed;
  std::thread ticker; // rewrites the seconds while a stage takes long
};

} // namespace mlc
#endif
