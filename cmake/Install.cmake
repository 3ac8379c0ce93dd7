# cmake --install build --prefix P: the compiler, the headers, the CMake package. The prefix can be moved; mlc in it still
# needs the shared LLVM and MLIR, which it finds where they were when it was built (or by LD_LIBRARY_PATH).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(packageDir ${CMAKE_INSTALL_LIBDIR}/cmake/mlc)

set_target_properties(mlc PROPERTIES INSTALL_RPATH "$ORIGIN/../lib;${LLVM_LIBRARY_DIRS}")
install(TARGETS mlc RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES runtime/include/mlc/mlc.h runtime/include/mlc/mlc.hpp runtime/include/mlc/types.def
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/mlc)

set(executableDir ${CMAKE_INSTALL_BINDIR})
set(includeDir ${CMAKE_INSTALL_INCLUDEDIR})
configure_package_config_file(cmake/mlcConfig.cmake.in ${CMAKE_BINARY_DIR}/cmake/mlcConfig.cmake
  INSTALL_DESTINATION ${packageDir} PATH_VARS executableDir includeDir NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change what generated headers declare.
write_basic_package_version_file(${CMAKE_BINARY_DIR}/cmake/mlcConfigVersion.cmake COMPATIBILITY SameMinorVersion
  ARCH_INDEPENDENT)
install(FILES ${CMAKE_BINARY_DIR}/cmake/mlcConfig.cmake ${CMAKE_BINARY_DIR}/cmake/mlcConfigVersion.cmake
  cmake/mlcAddModel.cmake DESTINATION ${packageDir})
