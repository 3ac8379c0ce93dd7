// One line on a terminal that tells how far a long command is. It appears after a second, is rewritten in place, and is gone when the
// command ends or prints something. Where standard error is no terminal there is nothing.
#ifndef MLC_TOOLS_MLC_PROGRESS_H
#define MLC_TOOLS_MLC_PROGRESS_H
#include "llvm/Support/raw_ostream.h"
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
  /// Removes the line and shows no more.
  void clear();
  /// Standard error for what is printed meanwhile: the line makes way for it.
  llvm::raw_ostream &errors() { return stream; }

private:
  class Errors : public llvm::raw_ostream {
  public:
    explicit Errors(Progress &progress) : raw_ostream(/*unbuffered=*/true), progress(progress) {}

  private:
    void write_impl(const char *text, size_t size) override;
    uint64_t current_pos() const override { return position; }
    Progress &progress;
    uint64_t position = 0;
  };
  void redraw();

  using Clock = std::chrono::steady_clock;
  Clock::time_point start = Clock::now();
  bool isActive, isShown = false, isDone = false;
  std::string text;
  std::mutex mutex;
  std::condition_variable changed;
  Errors stream{*this};
  std::thread ticker; // rewrites the seconds while a stage takes long
};

} // namespace mlc
#endif
