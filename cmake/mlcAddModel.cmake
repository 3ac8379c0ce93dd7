# mlc_add_model(<target> <model.onnx>
#               [STATIC | SHARED] [NAME <name>]
#               [DIM <dimension>=<size>...] [SHAPE <input>=<1x3x224x224>...] [CPU <cpu>] [TRIPLE <triple>]
#               [TRAIN [LOSS <loss>] [OPTIMIZER <optimizer>] [LEARNING_RATE <number>] [TRAINABLE <pattern>...]]
#               [OPTIONS <option>...] [DEPENDS <file>...])
#
# Adds a library of the compiled model: link to it and include "<name>.h". NAME, which begins every symbol, is the target's
# name as a C identifier unless it is given. STATIC is the default unless BUILD_SHARED_LIBS is on. CPU is the oldest CPU that
# the library must run on; the default is the machine that compiles, and when cross-compiling any of the triple. TRIPLE is
# the machine that the project's C or C++ compiler makes code for, unless it is given. OPTIONS are further ones of `mlc compile`, and DEPENDS
# names files that they mention. The model is compiled when the application is built, and again when the model, a file
# with its external data, or mlc has changed.
#
# An ordinary library target: it can be installed (its header is its PUBLIC_HEADER) and renamed (OUTPUT_NAME). The
# property MLC_MANIFEST is the path of the manifest.
if(CMAKE_VERSION VERSION_LESS 3.20)
  message(FATAL_ERROR "mlc_add_model needs CMake 3.20 or newer, this is ${CMAKE_VERSION}")
endif()
cmake_policy(VERSION 3.20...3.25)  # of this file alone: depfiles with Ninja

# The triple for mlc, empty where it is this machine's; `cpu` is set where native code would be wrong.
function(mlc_find_triple target triple_variable cpu_variable)
  set(language C)
  if(NOT CMAKE_C_COMPILER_LOADED)
    set(language CXX)
  endif()
  set(triple "${CMAKE_${language}_COMPILER_TARGET}")
  if(NOT triple AND CMAKE_${language}_COMPILER_LOADED)
    separate_arguments(flags UNIX_COMMAND "${CMAKE_${language}_COMPILER_ARG1} ${CMAKE_${language}_FLAGS}")
    execute_process(COMMAND "${CMAKE_${language}_COMPILER}" ${flags} -dumpmachine
      OUTPUT_VARIABLE triple ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
  endif()
  if(NOT triple)
    set(triple "${CMAKE_SYSTEM_PROCESSOR}-linux-gnu")
  endif()
  string(REGEX MATCH "^[^-]+" architecture "${triple}")
  set(host "${CMAKE_HOST_SYSTEM_PROCESSOR}")
  foreach(variable architecture host)
    string(REGEX REPLACE "^(arm64|ARM64)$" "aarch64" ${variable} "${${variable}}")
    string(REGEX REPLACE "^(amd64|AMD64)$" "x86_64" ${variable} "${${variable}}")
  endforeach()
  if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR NOT architecture MATCHES "^(x86_64|aarch64)$" OR triple MATCHES "musl|android"
      OR (CMAKE_SIZEOF_VOID_P AND NOT CMAKE_SIZEOF_VOID_P EQUAL 8))
    message(FATAL_ERROR "mlc_add_model(${target}): the project is compiled for ${CMAKE_SYSTEM_NAME}, ${triple}; mlc has "
      "x86_64-linux-gnu and aarch64-linux-gnu (64 bits). TRIPLE says which of them to use")
  endif()
  set(${triple_variable} "" PARENT_SCOPE)
  set(${cpu_variable} "" PARENT_SCOPE)
  if(CMAKE_CROSSCOMPILING OR NOT architecture STREQUAL host)
    set(${triple_variable} "${architecture}-linux-gnu" PARENT_SCOPE)
    set(${cpu_variable} generic PARENT_SCOPE)
  endif()
endfunction()

function(mlc_add_model target model)
  cmake_parse_arguments(PARSE_ARGV 2 ARG "STATIC;SHARED;TRAIN" "NAME;CPU;TRIPLE;LOSS;OPTIMIZER;LEARNING_RATE"
    "DIM;SHAPE;TRAINABLE;OPTIONS;DEPENDS")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "mlc_add_model(${target}): unknown argument ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(ARG_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "mlc_add_model(${target}): no value after ${ARG_KEYWORDS_MISSING_VALUES}")
  endif()
  if(ARG_STATIC AND ARG_SHARED)
    message(FATAL_ERROR "mlc_add_model(${target}): STATIC or SHARED, not both")
  endif()
  foreach(option LOSS OPTIMIZER LEARNING_RATE TRAINABLE)
    if(DEFINED ARG_${option} AND NOT ARG_TRAIN)
      message(FATAL_ERROR "mlc_add_model(${target}): ${option} needs TRAIN")
    endif()
  endforeach()

  set(name "${target}")
  if(DEFINED ARG_NAME)
    set(name "${ARG_NAME}")
  endif()
  string(MAKE_C_IDENTIFIER "${name}" identifier)
  if(DEFINED ARG_NAME AND NOT identifier STREQUAL name)
    message(FATAL_ERROR "mlc_add_model(${target}): NAME ${name} is not a C identifier")
  endif()
  set(name "${identifier}")
  get_filename_component(model "${model}" ABSOLUTE)

  if(NOT DEFINED ARG_TRIPLE)
    mlc_find_triple(${target} ARG_TRIPLE cpu)
    if(cpu AND NOT DEFINED ARG_CPU)
      set(ARG_CPU "${cpu}")
    endif()
  endif()

  get_property(executable GLOBAL PROPERTY MLC_EXECUTABLE)
  set(options "--name=${name}")
  foreach(option DIM SHAPE TRAINABLE CPU TRIPLE LOSS OPTIMIZER LEARNING_RATE)
    string(TOLOWER "--${option}" flag)
    string(REPLACE "_" "-" flag "${flag}")
    foreach(value IN LISTS ARG_${option})
      list(APPEND options "${flag}=${value}")
    endforeach()
  endforeach()
  if(ARG_TRAIN)
    list(APPEND options --train)
  endif()

  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${target}.mlc")
  file(MAKE_DIRECTORY "${folder}")
  set(object "${folder}/${name}.o")
  set(header "${folder}/${name}.h")
  add_custom_command(OUTPUT "${object}" "${header}" "${folder}/${name}.json"
    COMMAND "${executable}" compile "${model}" -o "${object}" "--depfile=${object}.d" ${options} ${ARG_OPTIONS}
    DEPENDS "${model}" "${executable}" ${ARG_DEPENDS}
    DEPFILE "${object}.d"
    COMMENT "Compiling ${model} into ${target}"
    VERBATIM)

  # Programs that load a shared library at run time look for one name in all of them.
  set(language C)
  set(reflect "${folder}/reflect.c")
  if(NOT CMAKE_C_COMPILER_LOADED)
    set(language CXX)
    set(reflect "${folder}/reflect.cpp")
  endif()
  if(ARG_SHARED OR (BUILD_SHARED_LIBS AND NOT ARG_STATIC))
    file(CONFIGURE OUTPUT "${reflect}" CONTENT "#include \"${name}.h\"
#ifdef __cplusplus
extern \"C\"
#endif
__attribute__((visibility(\"default\"))) const mlc_model *mlc_model_v1(void);
const mlc_model *mlc_model_v1(void) { return ${name}_mlc_model_v1(); }
")
    add_library(${target} SHARED "${object}" "${header}" "${reflect}")
    target_include_directories(${target} PRIVATE "${folder}")
  else()
    add_library(${target} STATIC "${object}" "${header}")
  endif()
  set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE ${language} PUBLIC_HEADER "${header}"
    MLC_MANIFEST "${folder}/${name}.json")
  target_include_directories(${target} INTERFACE "$<BUILD_INTERFACE:${folder}>")
  target_link_libraries(${target} PRIVATE m pthread ${CMAKE_DL_LIBS})  # empty ones, where libc has all of it
endfunction()
