// The stages of a compilation as a person sees them: what a progress line shows, and how long each took.
#ifndef MLC_COMPILER_STAGECLOCK_H
#define MLC_COMPILER_STAGECLOCK_H
#include "llvm/ADT/StringRef.h"
#include <array>
#include <chrono>
#include <functional>
#include <optional>

namespace mlc {

enum class Stage { Read, Translate, Fuse, Generate, Lower, Optimize, Write };
inline constexpr size_t kStageCount = 7;

/// "reading the model"
llvm::StringRef stageText(Stage stage);

class StageClock {
public:
  using Clock = std::chrono::steady_clock;
  std::function<void(Stage)> onEnter; // may be empty

  void enter(Stage stage);
  /// Seconds in a stage so far.
  double seconds(Stage stage) const;

private:
  void leave();
  std::array<Clock::duration, kStageCount> spent = {};
  std::optional<Stage> current;
  Clock::time_point since;
};

} // namespace mlc
#endif
