# Fit one design by lme4: rows, formula, family, method.  Prints one line of JSON.
args <- commandArgs(TRUE)
began <- proc.time()
suppressMessages(library(lme4))
loaded <- proc.time() - began
d <- read.csv(args[1])
d$g <- factor(d$g)
if (!is.null(d$c)) d$c <- factor(d$c)
memory <- function() {
  line <- grep("VmHWM", readLines("/proc/self/status"), value = TRUE)
  as.numeric(gsub("[^0-9]", "", line)) / 1024
}
run <- function(rows) {
  if (args[3] == "gaussian") {
    lmer(as.formula(args[2]), rows)
  } else {
    k <- if (args[4] == "laplace") 1L else as.integer(sub("aghq:", "", args[4]))
    glmer(as.formula(args[2]), rows, args[3], nAGQ = k,
          control = glmerControl(optimizer = "bobyqa"))
  }
}
small <- droplevels(d[as.integer(d$g) <= 10, ])
suppressMessages(suppressWarnings(run(small)))
base <- memory()
t <- system.time(f <- run(d))
s <- coef(summary(f))
sd <- as.data.frame(VarCorr(f))
sd <- sd$sdcor[is.na(sd$var2) & sd$grp != "Residual"]
numbers <- function(x) paste(sprintf("%.15g", x), collapse = ", ")
cat(sprintf(
  paste0('{"seconds": %.6f, "imports": %.6f, "base": %.3f, "peak": %.3f, ',
         '"fixed": [%s], "se": [%s], "sd": [%s], "loglik": %.12g}\n'),
  t[["user.self"]] + t[["sys.self"]], loaded[["user.self"]] + loaded[["sys.self"]],
  base, memory(), numbers(s[, 1]), numbers(s[, 2]), numbers(sort(sd)), logLik(f)))
